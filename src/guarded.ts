import { describeValue } from "./describe.ts";

/**
 * A caller's callback, made safe to call from a timer or a promise: what it throws, or rejects with
 * when it is `async`, becomes a warning, and neither ends a sweep nor becomes a rejection that nobody
 * handles.
 */
export function guarded<T>(callback: (value: T) => unknown): (value: T) => void {
  return (value) => {
    try {
      const result = callback(value) as PromiseLike<unknown> | undefined;
      // Asked once: a thenable of the caller's own may answer otherwise the second time.
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
