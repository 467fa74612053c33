/**
 * A caller's callback, made safe to call from a timer or a promise: what it throws becomes a warning,
 * and neither ends a sweep nor becomes a rejection that nobody handles.
 */
export function harmless<T>(callback: (value: T) => void): (value: T) => void {
  return (value) => {
    try {
      callback(value);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error));
    }
  };
}
