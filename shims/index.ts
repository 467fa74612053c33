import { portableShim } from "./portable.ts";
import type { Shim } from "./shim.ts";

export { type DescribedFile, type FileFacts, UNKNOWN_FACTS } from "./file-facts.ts";
export type {
  AddressRange,
  Advice,
  Faults,
  FileLease,
  FileRange,
  FoundMapping,
  MappedFile,
  MemoryLock,
  Shim,
  SystemMemory,
  View,
} from "./shim.ts";
export { SystemError } from "./system-error.ts";

let loaded: Promise<Shim> | undefined;

/**
 * The shim of this platform, bound once for each thread. Where koffi cannot be loaded it is the portable
 * shim, with one warning: a sweep then reads files in place of mapping them.
 *
 * @param silent no warning: for workers, since the thread that started them has warned already
 */
export function loadShim(silent = false): Promise<Shim> {
  loaded ??= chooseShim(silent);
  return loaded;
}

/** The one place that asks which platform this is. Imported on demand: koffi may not be installed. */
async function chooseShim(silent: boolean): Promise<Shim> {
  try {
    if (silent) (await import("./libc.ts")).keepCallsSmall();
    switch (process.platform) {
      case "linux":
        return (await import("./linux.ts")).linuxShim();
      case "darwin":
        return (await import("./darwin.ts")).darwinShim();
      case "win32":
        return (await import("./windows.ts")).windowsShim();
      default:
        return portableShim();
    }
  } catch (cause) {
    if (silent) return portableShim();
    const why = cause instanceof Error ? cause.message : String(cause);
    process.emitWarning(`koffi could not be loaded, so files are read in place of mapped: ${why}`, {
      code: "PREFAULT_NO_NATIVE",
    });
    return portableShim();
  }
}
