import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { errnoOf } from "../../describe.ts";
import { PrefaultError } from "../../errors.ts";
import { hostAndPort, type ListenAddress } from "./address.ts";
import { METRICS_TYPE, metricsText } from "./metrics.ts";
import { type KeepView, ReadinessProbe } from "./readiness.ts";

const TEXT = "text/plain; charset=utf-8";

/** A client that sends nothing for so long is cut off. */
const REQUEST_MS = 5000;

/** More than a Prometheus and a probe need at a time; each takes a descriptor. */
const MOST_CONNECTIONS = 64;

/** Answers `/metrics` and `/ready` until it is closed. */
export class Listener {
  readonly #server: Server;
  /** Where it listens. */
  readonly url: string;

  /**
   * @param view what is known at the moment of a request
   * @throws {@link PrefaultError} `PREFAULT_LISTEN_FAILED`
   */
  static async open(address: ListenAddress, view: () => KeepView): Promise<Listener> {
    const probe = new ReadinessProbe();
    const server = createServer((request, response) => {
      send(request, response, answerTo(request, view(), probe));
    });
    server.requestTimeout = REQUEST_MS;
    server.headersTimeout = REQUEST_MS;
    server.maxConnections = MOST_CONNECTIONS;
    server.listen({ host: address.host, port: address.port, exclusive: true });
    try {
      await once(server, "listening");
    } catch (error) {
      throw listenError(address, error);
    }
    return new Listener(server, address.host);
  }

  private constructor(server: Server, host: string) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    this.url = `http://${hostAndPort({ host, port })}`;
  }

  /** Cuts off whoever is connected. */
  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function answerTo(
  { method, url = "/" }: IncomingMessage,
  view: KeepView,
  probe: ReadinessProbe,
): Answer {
  if (method !== "GET" && method !== "HEAD") {
    const headers = { Allow: "GET, HEAD" };
    return { status: 405, text: "only GET and HEAD are answered\n", headers };
  }
  const [path] = url.split("?");
  if (path === "/metrics") return { status: 200, type: METRICS_TYPE, text: metricsText(view) };
  if (path !== "/ready") return { status: 404, text: "there are /metrics and /ready\n" };
  const { isReady, why } = probe.ask(view);
  return { status: isReady ? 200 : 503, text: `${why.replace(/\s+/g, " ")}\n` };
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  const { status, type = TEXT, text, headers } = answer;
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(text),
    // Nobody asks often enough that a connection were worth keeping.
    Connection: "close",
    ...headers,
  });
  response.end(request.method === "HEAD" ? undefined : text);
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "this machine does not have the address",
  EACCES: "ports below 1024 are for root",
};

function listenError(address: ListenAddress, cause: unknown): PrefaultError {
  const errno = errnoOf(cause);
  const why = REASONS[errno ?? ""] ?? `the system says ${errno}`;
  return new PrefaultError(
    "PREFAULT_LISTEN_FAILED",
    `nothing can be served at ${hostAndPort(address)}: ${why}`,
    { errno, cause },
  );
}
