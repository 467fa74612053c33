import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/**
 * Waits for the end of its input, which comes when this process ends, also by a crash or SIGKILL. Then it
 * ends the group of processes that it was told of: SIGTERM, and after ten seconds SIGKILL.
 */
const SCRIPT = `
read -r group || exit 0
read -r end
kill -s TERM -- "-$group" || exit 0
for second in 1 2 3 4 5 6 7 8 9 10; do
  sleep 1
  kill -s 0 -- "-$group" || exit 0
done
kill -s KILL -- "-$group"
`;

/**
 * A process that ends another when this one is gone. A shell, since every Unix has one, and Electron's own
 * program may be built so that it does not run as Node.
 *
 * Windows needs none: there a child belongs to a job of libuv's, which ends with its parent.
 */
export class Guard {
  readonly #shell: ChildProcess | null;
  #child: ChildProcess | undefined;
  #isOver = false;

  /** @throws what `spawn` fails with */
  static async start(): Promise<Guard> {
    if (process.platform === "win32") return new Guard(null);
    // In a session of its own: a terminal's Ctrl-C must not end it before its time.
    const shell = spawn("/bin/sh", ["-c", SCRIPT], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    await once(shell, "spawn");
    return new Guard(shell);
  }

  private constructor(shell: ChildProcess | null) {
    this.#shell = shell;
    // What is written to one that is gone is lost.
    shell?.stdin?.on("error", () => {});
    shell?.once("exit", () => this.#leave());
  }

  /** @param child leads a group of its own, but on Windows */
  watch(child: ChildProcess): void {
    this.#child = child;
    this.#shell?.stdin?.write(`${child.pid}\n`);
    if (this.#shell !== null && hasEnded(this.#shell)) this.#leave();
  }

  /** Ends the child's group, also where its leader has ended, and the guard. */
  end(): void {
    this.#isOver = true;
    if (this.#shell === null) this.#child?.kill();
    else this.#shell.stdin?.end();
  }

  /** A server without a guard might outlive this process: it ends with its guard. */
  #leave(): void {
    const { pid } = this.#child ?? {};
    if (!this.#isOver && pid !== undefined) killGroup(pid);
  }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // Nobody is left.
  }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
