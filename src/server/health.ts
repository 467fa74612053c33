import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { abortError } from "../errors.ts";
import type { Launch } from "../launch/index.ts";

/** Where a server says that it is ready: a URL, and the socket it is asked through, if not TCP. */
export interface HealthUrl {
  readonly url: URL;
  readonly socketPath?: string;
}

/** llama-server's default; 8080 until September 2026. */
const DEFAULT_PORTS = [8080, 9931] as const;

/** A server that does not answer within this time is asked again. */
const TIMEOUT_MS = 2000;

/** What of a command line says where its server listens. */
type Listener = Pick<Launch, "program" | "engine" | "host" | "port" | "apiPrefix">;

/**
 * Where the server of a command line answers `/health`; nowhere for a program that is no server, nor for an
 * address that cannot be written as a URL, such as one with a zone (`fe80::1%eth0`).
 */
export function healthUrls({ program, engine, host, port, apiPrefix = "" }: Listener): HealthUrl[] {
  const isServer = /server|llamafile|runner/i.test(program) || engine === "ollama";
  if (port === undefined && !isServer) return [];
  const path = `${apiPrefix.replace(/\/$/, "")}/health`;
  if (host?.endsWith(".sock")) {
    return urlOf(`http://localhost${path}`).map((url) => ({ url, socketPath: host }));
  }
  const ports = port === undefined ? DEFAULT_PORTS : [port];
  return ports.flatMap((each) =>
    urlOf(`http://${reachable(host)}:${each}${path}`).map((url) => ({ url })),
  );
}

function urlOf(text: string): URL[] {
  return URL.canParse(text) ? [new URL(text)] : [];
}

/** An address that a server listens on, as one that it can be asked at. */
function reachable(host: string | undefined): string {
  if (host === undefined || host === "" || host === "0.0.0.0" || host === "localhost") {
    return "127.0.0.1";
  }
  if (host === "::") return "[::1]";
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

/** @returns the status of the answer; `undefined` when there was none. Never rejects */
export function statusOf({ url, socketPath }: HealthUrl, signal?: AbortSignal) {
  return new Promise<number | undefined>((resolve) => {
    const isTls = url.protocol === "https:";
    const asked = (isTls ? requestHttps : requestHttp)(
      url,
      {
        ...(socketPath !== undefined && { socketPath }),
        ...(signal && { signal }),
        // It is the user's own server, often with a certificate of its own making.
        ...(isTls && { rejectUnauthorized: false }),
        timeout: TIMEOUT_MS,
        agent: false,
      },
      (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      },
    );
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve(undefined));
    asked.on("close", () => resolve(undefined));
    asked.end();
  });
}

/** Between two questions. */
const ASK_MS = 200;

/** Waits until a URL answers 200. @throws {@link PrefaultError} `PREFAULT_ABORTED` */
export async function waitForUrl(url: URL, signal: AbortSignal): Promise<void> {
  while ((await statusOf({ url }, signal)) !== 200) {
    await sleep(ASK_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) throw abortError(signal);
  }
}
