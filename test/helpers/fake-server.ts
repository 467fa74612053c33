import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { until } from "./process-facts.ts";
import { ROOT } from "./run-child.ts";

/** What `fixtures/fake-server.mjs` does, besides what its command line says. */
export interface FakeServerConfig {
  /** Milliseconds from its start to its first 200. */
  readonly loadMs?: number;
  /** It maps and populates the file of `-m`. */
  readonly maps?: boolean;
  /** `false`: nobody listens on its port. */
  readonly answers?: boolean;
  /** How it ends when it is ready, by itself. */
  readonly ending?: { readonly afterMs?: number; readonly code?: number; readonly signal?: string };
  /** Milliseconds from the first SIGTERM or SIGINT to its end. */
  readonly lingersMs?: number;
}

type FakeServerEvent = {
  readonly started?: number;
  readonly mapped?: string;
  readonly bytes?: number;
  readonly ready?: number;
  readonly signal?: string;
};

/** A run of the command with a fake server, in folders of its own. Linux only. */
export interface FakeRun {
  /** For the processes of this run: also what they are told apart by. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** An executable with this name. */
  readonly program: string;
  events(): readonly FakeServerEvent[];
  /** The signals that the server has got so far. */
  signals(): readonly string[];
  /** @returns the server's process, when it answers 200 */
  ready(): Promise<number>;
  /** The processes of this run that are alive. */
  processes(): readonly number[];
  /** Those of them that warm. */
  warmers(): readonly number[];
  /** What was written into the folders that a program may write to. */
  written(): readonly string[];
}

let runs = 0;

/** @param folder a temporary one, for all the runs of a file */
export function fakeRun(folder: string, config: FakeServerConfig = {}): FakeRun {
  const home = mkdtempSync(join(folder, "run-"));
  const own = Object.fromEntries(
    ["cwd", "home", "tmp", "bin"].map((name) => {
      mkdirSync(join(home, name));
      return [name, join(home, name)];
    }),
  ) as Record<"cwd" | "home" | "tmp" | "bin", string>;
  const log = join(home, "events");
  const program = join(own.bin, "llama-server");
  const script = join(ROOT, "test/fixtures/fake-server.mjs");
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${script}' "$@"\n`);
  chmodSync(program, 0o755);
  const mark = `FAKE_RUN=${process.pid}-${runs++}`;
  const [name = "", value] = mark.split("=");

  const events = (): FakeServerEvent[] =>
    existsSync(log)
      ? readFileSync(log, "utf8")
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => JSON.parse(line))
      : [];
  const processes = () => processesWith(mark);
  return {
    env: {
      [name]: value,
      FAKE_SERVER: JSON.stringify({ ...config, log }),
      HOME: own.home,
      TMPDIR: own.tmp,
      XDG_STATE_HOME: undefined,
    },
    cwd: own.cwd,
    program,
    events,
    signals: () => events().flatMap(({ signal }) => signal ?? []),
    async ready() {
      await until(() => events().some(({ ready }) => ready !== undefined), "the server was ready");
      return events().find(({ ready }) => ready !== undefined)?.ready ?? -1;
    },
    processes,
    warmers: () => processes().filter((pid) => commandOf(pid).includes("run-warmer")),
    written: () =>
      [own.cwd, own.home, own.tmp].flatMap((each) =>
        readdirSync(each, { recursive: true, encoding: "utf8" }),
      ),
  };
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function processesWith(mark: string): number[] {
  return readdirSync("/proc").flatMap((name) =>
    /^\d+$/.test(name) && textOf(`/proc/${name}/environ`).split("\0").includes(mark)
      ? [Number(name)]
      : [],
  );
}

/**
 * Whether a process has handlers of its own for signals (proc_pid_status(5), `SigCgt`). Node itself has one for
 * SIGTERM and SIGINT from its start, and none for SIGCONT.
 */
export function listensToSignals(pid: number): boolean {
  const [, caught = "0"] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(textOf(`/proc/${pid}/status`)) ?? [];
  return (BigInt(`0x${caught}`) & (1n << 17n)) !== 0n;
}

function commandOf(pid: number): string {
  return textOf(`/proc/${pid}/cmdline`);
}

/** A process that is gone, or a zombie, has none. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
