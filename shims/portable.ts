import { UNKNOWN_FACTS } from "./file-facts.ts";
import type { Shim } from "./shim.ts";
import { SystemError } from "./system-error.ts";

/**
 * The shim without native code: nothing is mapped, residency is unknown, and a sweep reads the file,
 * which makes its pages resident in the page cache too.
 */
export function portableShim(): Shim {
  const refuse = (call: string) => () => {
    throw new SystemError(call, "ENOTSUP");
  };
  return {
    name: "portable",
    // Used for rounding only: the page size of every system is a multiple of it.
    pageBytes: 4096,
    canPlace: false,
    canPopulate: false,
    populateMayHang: false,
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
    mappedFiles: async () => null,
    pageOut: async () => refuse("pageOut")(),
    lockableBytes: () => 0,
    openLock: refuse("openLock"),
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
