import { type ChildProcess, spawn } from "node:child_process";
import { SeenSignals, type Witness } from "./signals.ts";

/**
 * Stands in for the process that warms, where none does: a process that does nothing until a signal ends it, which
 * tells that the signal was sent to every process of the group. It is `cat` with a pipe that nobody writes to, so
 * that it ends with this process, however that ends.
 */
export class Bystander implements Witness {
  readonly #seen = new SeenSignals();
  #process: ChildProcess | null = null;
  #isOver = false;

  start(): void {
    if (this.#isOver) return;
    const started = spawn("cat", { stdio: ["pipe", "ignore", "ignore"] });
    this.#process = started;
    started.unref();
    // Its pipe would keep this process running.
    (started.stdin as unknown as { unref(): void }).unref();
    started.stdin.on("error", () => {});
    // A container or Windows may have no such program: then a signal is taken as sent to this process alone.
    started.on("error", () => {
      this.#process = null;
    });
    started.once("exit", (_, signal) => {
      this.#process = null;
      if (signal === null) return;
      this.#seen.add(signal);
      this.start();
    });
  }

  sawWithin(signal: NodeJS.Signals, milliseconds: number): Promise<boolean> | null {
    if (this.#process === null && !this.#seen.has(signal, milliseconds)) return null;
    return this.#seen.within(signal, milliseconds);
  }

  end(): void {
    this.#isOver = true;
    this.#process?.kill("SIGKILL");
  }
}
