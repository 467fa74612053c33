import { isMainThread } from "node:worker_threads";
import { loadShim, type Shim } from "../shims/index.ts";
import { abortError } from "./errors.ts";

/**
 * Work that a device keeps from ending after its caller was told that it is over: a worker in the
 * middle of a read, a header on a disk that does not answer. Nothing can call it off.
 */
let unfinished = 0;
let shim: Shim | undefined;

/**
 * Node joins its threads when it exits, and so would wait for the device. What is left behind holds
 * nothing the system does not take back by itself.
 */
function exitAtOnce(code: number): void {
  shim?.exit(code);
}

/**
 * Lets the process exit while the work is still under way, as soon as it resolves. A worker thread
 * cannot be let go like that: the process has others. Takes care of a rejection of the work, on any
 * thread. Never rejects.
 */
export async function abandon(work: Promise<unknown>): Promise<void> {
  if (!isMainThread) {
    work.catch(() => {});
    return;
  }
  unfinished += 1;
  if (unfinished === 1) process.on("exit", exitAtOnce);
  const finish = () => {
    unfinished -= 1;
    if (unfinished === 0) process.off("exit", exitAtOnce);
  };
  work.then(finish, finish);
  shim = await loadShim();
}

/**
 * For work that cannot be aborted: rejects as soon as the signal fires, and leaves the work behind.
 *
 * @param discard what to do with a result that comes too late
 * @throws {@link PrefaultError} `PREFAULT_ABORTED`
 */
export function abortable<T>(
  signal: AbortSignal | undefined,
  work: Promise<T>,
  discard?: (late: T) => unknown,
): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const abort = () => {
      abandon(work.then(discard)).finally(() => reject(abortError(signal)));
    };
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    const settle = () => signal.removeEventListener("abort", abort);
    work.finally(settle).then(resolve, reject);
  });
}

/** Waits until something is closed; after an abort not, since closing may wait for the device. */
export function closed(signal: AbortSignal | undefined, closing: Promise<void>): Promise<void> {
  return signal?.aborted ? abandon(closing) : closing;
}
