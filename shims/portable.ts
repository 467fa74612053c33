import { type Shim, UNKNOWN_FACTS } from "./shim.ts";
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
    evict: async () => refuse("evict")(),
    advise: () => false,
    zapPageTables: () => false,
    prefetch: () => false,
    openView: () => null,
    memory: () => null,
    describeFile: async () => UNKNOWN_FACTS,
    residentBytes: () => null,
    residentBytesInBackground: async () => null,
    residentBytesAt: async () => null,
    faultsOfNewMapping: () => null,
    findMappings: async () => null,
    openLease: () => null,
    adviseFile: () => false,
    exit: (code) => process.exit(code),
    faults() {
      try {
        const { minorPageFault: minor, majorPageFault: major } = process.resourceUsage();
        return { minor, major };
      } catch {
        return { minor: 0, major: 0 }; // refused, as a seccomp profile may
      }
    },
  };
}
