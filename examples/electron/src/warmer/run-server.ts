import { setTimeout as sleep } from "node:timers/promises";
import { runWithPrefault } from "prefault";
import type { ServerStatus } from "../ipc.ts";
import { Guard } from "./guard.ts";
import { reportView } from "./report.ts";
import { nameOf, type ServerSettings } from "./settings.ts";

const LOOK_MS = 250;
const ANSWER_MS = 2000;

/** A server that was started. */
export interface RunningServer {
  /** Asks it to end; ten seconds later it has to. */
  end(): void;
  readonly ended: Promise<void>;
}

type Running = Extract<ServerStatus, { state: "running" }>;

/**
 * Starts a server, warms it, and tells what becomes of it until it has ended.
 *
 * @throws what `spawn` fails with
 */
export async function runServer(
  { program, args, ready, options }: ServerSettings,
  tell: (status: ServerStatus) => void,
): Promise<RunningServer> {
  const name = nameOf(program);
  const isReady = ready === undefined ? null : false;
  let running: Running = { state: "running", name, isReady, note: "", report: null };
  const over = new AbortController();
  const update = (change: Partial<Running>) => {
    running = { ...running, ...change };
    if (!over.signal.aborted) tell(running);
  };
  // The guard comes first, and has to be told the server's process only.
  const guard = await Guard.start();
  const start = runWithPrefault(program, args, {
    ...options,
    log: (line) => update({ note: line.replace(/^prefault: /, "") }),
    spawn: {
      stdio: ["ignore", "inherit", "inherit"],
      // A group of its own: what a script has started ends with it. On Windows this would take the
      // server out of the job that ends with this process.
      detached: process.platform !== "win32",
    },
  });
  const { child, session } = await start.catch((error: unknown) => {
    guard.end();
    throw error;
  });
  guard.watch(child);
  update({});
  const ended = new Promise<void>((resolve) => {
    child.once("exit", async (code, signal) => {
      over.abort();
      guard.end();
      await session.close();
      tell({ state: "ended", name, by: signal ?? code ?? 0 });
      resolve();
    });
  });
  void session.report.then((report) => update({ report: reportView(report) }));
  if (ready !== undefined) {
    void untilAnswer(ready, over.signal).then((isReady) => update({ isReady }));
  }
  return {
    ended,
    end() {
      if (over.signal.aborted) return;
      over.abort();
      tell({ state: "ending", name });
      guard.end();
    },
  };
}

/** @returns `false` when the signal fires first */
async function untilAnswer(url: string, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    const each = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const status = await fetch(url, { signal: each }).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return true;
    await sleep(LOOK_MS);
  }
  return false;
}
