import { loadShim, type Shim } from "../shims/index.ts";
import { abortError } from "./errors.ts";

/**
 * The number of abandoned works: they still wait for a device after their caller got its answer, such as a
 * read from a disk that does not answer. They cannot be cancelled.
 */
let unfinished = 0;
let shim: Shim | undefined;

/**
 * Ends the process without joining its threads, as Node would do: a join waits for the device. The system
 * frees everything that the threads hold.
 */
function exitAtOnce(code: number): void {
  shim?.exit(code);
}

/**
 * Lets the process exit while work is still under way. Resolves when it can. Handles a rejection of the
 * work. On a worker thread it does no more than that, since a worker must not end the whole process.
 * Never rejects.
 */
export async function abandon(work: Promise<unknown>): Promise<void> {
  work.catch(() => {});
  const { isMainThread } = await import("node:worker_threads");
  if (!isMainThread) return;
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
 * Makes work abortable that has no signal of its own: rejects as soon as the signal fires, and abandons
 * the work.
 *
 * @param discard is called with a result that comes after the abort
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

/** Waits for a close, except after an abort, since closing may wait for the device. */
export function closed(signal: AbortSignal | undefined, closing: Promise<void>): Promise<void> {
  return signal?.aborted ? abandon(closing) : closing;
}

/** Aborts a controller when a signal fires, with its reason. @returns stops listening to the signal */
export function abortWith(
  controller: AbortController,
  signal: AbortSignal | undefined,
): () => void {
  const onAbort = () => controller.abort(signal?.reason);
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  return () => signal?.removeEventListener("abort", onAbort);
}
