import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { RunArguments } from "./arguments.ts";
import { SeenSignals, type Witness } from "./signals.ts";

/** What is warmed. */
export interface WarmingTask extends RunArguments {
  /** Of the command. */
  readonly pid: number;
}

/** What the processes tell each other. */
export type ToWarming = { readonly task: WarmingTask } | { readonly end: true };
export type FromWarming = { readonly signal: NodeJS.Signals };

/** The warming process writes what it recorded within this time. */
const END_MS = 3000;

/**
 * A process of its own warms, so that nothing that happens to it ends the command's parent: what it locks
 * counts as its memory, and where memory runs out it is the one to go. It ends when its channel to this
 * process closes, whatever ended this process.
 */
export class WarmingProcess implements Witness {
  #process: ChildProcess | null = null;
  readonly #seen = new SeenSignals();

  /** @param onGone is called when the process has ended, or could not be started */
  start(task: WarmingTask, onGone: () => void): void {
    const program = fileURLToPath(new URL("./run-warmer.js", import.meta.url));
    const started = fork(program, [], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      // Flags such as --inspect are for this process alone.
      execArgv: [],
    });
    this.#process = started;
    const forget = () => {
      this.#process = null;
      onGone();
    };
    started.on("error", forget);
    started.once("exit", (_, signal) => {
      forget();
      // It ends by a signal that comes before it has loaded what listens to signals.
      if (signal !== null) this.#seen.add(signal);
    });
    started.on("message", ({ signal }: FromWarming) => this.#seen.add(signal));
    started.send({ task } satisfies ToWarming, () => {});
  }

  sawWithin(signal: NodeJS.Signals, milliseconds: number): Promise<boolean> | null {
    return this.#seen.within(signal, milliseconds, this.#process !== null);
  }

  /** Ends the process. Waits a moment for what it has to write. */
  async end(): Promise<void> {
    const running = this.#process;
    if (running === null) return;
    const exited = new Promise<void>((resolve) => running.once("exit", () => resolve()));
    running.send({ end: true } satisfies ToWarming, () => {});
    const timer = setTimeout(() => running.kill("SIGKILL"), END_MS);
    await exited;
    clearTimeout(timer);
  }
}
