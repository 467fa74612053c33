import { type ChildProcess, spawn } from "node:child_process";
import { PASSED_ON, SeenSignals, type Witness } from "./signals.ts";

/** By default these end no process. */
const ENDS_NONE: ReadonlySet<string> = new Set(["SIGWINCH", "SIGCONT"]);

/**
 * Stands in for the process that warms, where none does: a process that does nothing until a signal ends it, which
 * tells that the signal was sent to every process of the group. It is `cat` with a pipe that nobody writes to, so
 * that it ends with this process, however that ends. Where it cannot be had there is no witness.
 */
export class Bystander implements Witness {
  readonly #seen = new SeenSignals();
  #process: ChildProcess | null = null;
  #isOver = false;

  /** Never throws: the command runs on, whatever cannot be started beside it. */
  start(): void {
    if (this.#isOver || this.#process !== null) return;
    try {
      this.#spawn();
    } catch {
      this.#process = null;
    }
  }

  #spawn(): void {
    const started = spawn("cat", { stdio: ["pipe", "ignore", "ignore"] });
    this.#process = started;
    started.on("error", () => {
      this.#process = null;
    });
    started.once("exit", (_, signal) => {
      this.#process = null;
      // Anything else would end the next one as well.
      if (!PASSED_ON.some((each) => each === signal)) return;
      // One process tells of one signal, and systemd may send two at once (`SendSIGHUP`).
      for (const each of PASSED_ON) this.#seen.add(each);
      this.start();
    });
    started.unref();
    // Its pipe would keep this process running.
    (started.stdin as unknown as { unref(): void }).unref();
    started.stdin.on("error", () => {});
  }

  sawWithin(signal: NodeJS.Signals, milliseconds: number): Promise<boolean> | null {
    if (ENDS_NONE.has(signal)) return null;
    return this.#seen.within(signal, milliseconds, this.#process !== null);
  }

  end(): void {
    this.#isOver = true;
    this.#process?.kill("SIGKILL");
  }
}
