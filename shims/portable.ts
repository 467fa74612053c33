import type { Shim } from "./shim.ts";
import { SystemError } from "./system-error.ts";

/**
 * No native code at all: nothing is mapped, residency is unknown, and a sweep reads the file. The
 * pages become resident in the page cache all the same.
 */
export function portableShim(): Shim {
  const refuse = (call: string) => () => {
    throw new SystemError(call, "ENOTSUP");
  };
  return {
    name: "portable",
    // Only the unit of rounding here; every system's page is a multiple of it.
    pageBytes: 4096,
    canPlace: false,
    canPopulate: false,
    canEvict: false,
    countsFaultsOf: "process",
    addressOf: refuse("addressOf"),
    place: refuse("place"),
    restore: refuse("restore"),
    populate: refuse("populate"),
    populateInBackground: async () => {},
    evict: refuse("evict"),
    advise: () => false,
    prefetch: () => false,
    openView: () => null,
    memory: () => null,
    residentBytes: () => null,
    residentBytesAt: () => null,
    tellsResidencyAt: async () => false,
    findMappings: async () => null,
    residencyMap: () => null,
    openFence: () => null,
    isLocal: () => true,
    isSpinning: () => false,
    readAheadBytes: () => null,
    exit: (code) => process.exit(code),
    faults() {
      const { minorPageFault: minor, majorPageFault: major } = process.resourceUsage();
      return { minor, major };
    },
  };
}
