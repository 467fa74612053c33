import { describeValue } from "./describe.ts";

/**
 * Makes a caller's callback safe: what it throws, or rejects with when it is `async`, becomes a warning of
 * the process. It neither ends a sweep nor becomes an unhandled rejection.
 */
export function guarded<T>(callback: (value: T) => unknown): (value: T) => void {
  return (value) => {
    try {
      const result = callback(value) as PromiseLike<unknown> | undefined;
      // `then` is read once here: it may be a getter of the caller's.
      if (typeof result?.then === "function") Promise.resolve(result).catch(warn);
    } catch (error) {
      warn(error);
    }
  };
}

function warn(error: unknown): void {
  const text = typeof error === "string" ? error : describeValue(error);
  process.emitWarning(error instanceof Error ? error : text);
}
