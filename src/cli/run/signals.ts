import type { ChildProcess } from "node:child_process";

/** What people and service managers send. The others keep their meaning for this process. */
export const PASSED_ON = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
  "SIGCONT",
] as const;

/** Those that a terminal sends to every process of its foreground group. */
const OF_A_TERMINAL: ReadonlySet<NodeJS.Signals> = new Set([
  "SIGINT",
  "SIGQUIT",
  "SIGWINCH",
  "SIGCONT",
]);

/** Another process of the group has a signal within this time, if the group was sent it. */
const ECHO_MS = 150;

/** Tells when a signal also reached another process of the group. */
export interface Witness {
  /** @returns `null` when there is no such process any more */
  sawWithin(signal: NodeJS.Signals, milliseconds: number): Promise<boolean> | null;
}

/** The signals that another process of ours got. */
export class SeenSignals {
  readonly #seen = new Map<NodeJS.Signals, number>();
  readonly #waiting = new Set<() => void>();

  add(signal: NodeJS.Signals): void {
    this.#seen.set(signal, performance.now());
    for (const look of this.#waiting) look();
  }

  /**
   * Whether it got the signal in the last so many milliseconds, or gets it in the next.
   *
   * @param isAlive whether it can still get one
   * @returns as {@link Witness.sawWithin}
   */
  within(signal: NodeJS.Signals, milliseconds: number, isAlive: boolean): Promise<boolean> | null {
    const since = performance.now() - milliseconds;
    const hasSeen = () => (this.#seen.get(signal) ?? Number.NEGATIVE_INFINITY) > since;
    if (!isAlive && !hasSeen()) return null;
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(hasSeen());
      };
      const look = () => {
        if (hasSeen()) settle();
      };
      const timer = setTimeout(settle, milliseconds);
      this.#waiting.add(look);
      look();
    });
  }
}

/**
 * Passes signals on to the command, unless it has got them itself.
 *
 * A terminal's Ctrl-C, systemd's `KillMode=control-group` and `kill -- -GROUP` signal every process, the
 * command included, and llama-server takes a second SIGTERM or SIGINT for the wish to end at once. Node does
 * not tell who sent a signal, so another process of ours is asked whether it got it too.
 *
 * @returns gives the signals their usual meaning back
 */
export function passSignalsOn(child: ChildProcess, witness: Witness): () => void {
  const hasTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  const handlers = PASSED_ON.map((signal) => {
    const handler = async () => {
      const isEverybodys =
        (await witness.sawWithin(signal, ECHO_MS)) ?? (hasTerminal && OF_A_TERMINAL.has(signal));
      if (!isEverybodys) child.kill(signal);
    };
    process.on(signal, handler);
    return () => void process.off(signal, handler);
  });
  return () => {
    for (const release of handlers) release();
  };
}
