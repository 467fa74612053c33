import { UNKNOWN_FACTS } from "./file-facts.ts";
import { bindKernel32, type Kernel32, lastWindowsError, MINUS_ONE } from "./kernel32.ts";
import { addressOf } from "./libc.ts";
import type { Shim, View } from "./shim.ts";
import { inSteps } from "./steps.ts";
import { SystemError } from "./system-error.ts";
import { windowsLock } from "./windows-lock.ts";
import { processCounters, windowsMemory } from "./windows-memory.ts";
import { countResidentPages, LOCKED_BYTES, WorkingSet } from "./working-set.ts";

const PAGE_READONLY = 0x02; // memoryapi.h
const FILE_MAP_READ = 0x04; // memoryapi.h
const PAGE_SIZE = 1; // second u32 of SYSTEM_INFO, sysinfoapi.h
const SYSTEM_INFO_WORDS = 12;

/** Bytes that {@link readThrough} copies at a time: few enough for the processor's cache. */
const COPIED_BYTES = 256 * 1024;

/** A query over this much takes a few milliseconds; the event loop runs between two queries. */
const QUERIED_STEP_BYTES = 64 * 1024 ** 2;

/**
 * The Windows shim. A view cannot be laid over memory that V8 has reserved, so files are mapped at
 * addresses that the system chooses, outside WebAssembly memory, and the system fills their pages.
 *
 * While a view is open no program can shrink its file: truncating fails with `ERROR_USER_MAPPED_FILE`.
 * On a network file system another machine can, and then a fill fails with an error.
 *
 * @throws when koffi has no binary for this platform, or the running program does not export libuv
 */
export function windowsShim(kernel32: Kernel32 = bindKernel32()): Shim {
  const systemInfo = new Uint32Array(SYSTEM_INFO_WORDS);
  kernel32.GetSystemInfo(systemInfo);
  const pageBytes = systemInfo[PAGE_SIZE] ?? 4096;
  const workingSet = new WorkingSet(kernel32);
  const copied = new Uint8Array(COPIED_BYTES);

  const refuse = (call: string) => () => {
    throw new SystemError(call, "ENOTSUP");
  };

  function failed(call: string): never {
    throw new SystemError(call, lastWindowsError(kernel32));
  }

  /** Makes a range resident by locking it. After the unlock it stays in the working set for a while. */
  function lock(address: bigint, byteLength: number): boolean {
    if (kernel32.VirtualLock(address, byteLength) === 0) return false;
    kernel32.VirtualUnlock(address, byteLength);
    return true;
  }

  /** Reads the pages as a debugger does, so that an in-page error is a failed call and no exception. */
  function readThrough(address: bigint, byteLength: number): void {
    for (let done = 0; done < byteLength; done += COPIED_BYTES) {
      const bytes = Math.min(COPIED_BYTES, byteLength - done);
      const at = address + BigInt(done);
      if (kernel32.ReadProcessMemory(MINUS_ONE, at, copied, bytes, null) === 0) {
        failed(`ReadProcessMemory of ${bytes} bytes`);
      }
    }
  }

  function openView(fd: number, offset: number, byteLength: number): View {
    const what = `of ${byteLength} bytes at offset ${offset}`;
    const file = kernel32.uv_get_osfhandle(fd);
    if (file === MINUS_ONE) throw new SystemError(`MapViewOfFile ${what}`, "EBADF");
    const section = kernel32.CreateFileMappingW(file, null, PAGE_READONLY, 0, 0, null);
    if (section === null) failed(`CreateFileMapping of descriptor ${fd}`);
    const [high, low] = [Math.floor(offset / 2 ** 32), offset % 2 ** 32];
    const address = kernel32.MapViewOfFile(section, FILE_MAP_READ, high, low, byteLength);
    if (address === null) {
      const errno = lastWindowsError(kernel32);
      kernel32.CloseHandle(section);
      throw new SystemError(`MapViewOfFile ${what}`, errno);
    }
    // The view keeps what it needs of the section.
    kernel32.CloseHandle(section);
    workingSet.raise();
    return {
      address,
      close() {
        kernel32.UnmapViewOfFile(address);
        workingSet.restore();
      },
    };
  }

  return {
    name: "windows",
    pageBytes,
    canPlace: false,
    canPopulate: true,
    populateMayHang: false,
    // Windows drops all pages of a file when it is opened unbuffered while it is not open anywhere else
    // (fio, `windowsaio_invalidate_cache`). Here it is open, and only a range is to be dropped.
    canEvict: false,
    countsFaultsOf: "process",
    addressOf,
    place: refuse("place"),
    restore: refuse("restore"),
    evict: async () => refuse("evict")(),
    zapPageTables: () => false,
    describeFile: async () => UNKNOWN_FACTS,
    faultsOfNewMapping: () => null,
    openLease: () => null,
    adviseFile: () => false,

    openView,

    advise(address, byteLength, advice) {
      return advice === "will-need" && prefetch(kernel32, [{ address, byteLength }]);
    },

    prefetch: (ranges) => prefetch(kernel32, ranges),

    populate(address, byteLength) {
      for (let done = 0; done < byteLength; done += LOCKED_BYTES) {
        const at = address + BigInt(done);
        const bytes = Math.min(LOCKED_BYTES, byteLength - done);
        if (!lock(at, bytes)) readThrough(at, bytes);
      }
    },

    // The first worker asks for all ranges at once anyway.
    populateInBackground: async () => {},

    // Windows shows a process only its own views, and a new view shows nothing of what is cached.
    residentBytes: () => null,
    residentBytesInBackground: async () => null,
    findMappings: async () => null,
    mappedFiles: async () => null,
    pageOut: async () => refuse("pageOut")(),
    // What can be locked is decided by the working set, which grows with each lock (memoryapi.h).
    lockableBytes: () => Number.POSITIVE_INFINITY,
    openLock: (fd, byteLength) => windowsLock(kernel32, workingSet, openView(fd, 0, byteLength)),

    async residentBytesAt(ranges) {
      let resident = 0;
      for await (const { address, byteLength } of inSteps(ranges, QUERIED_STEP_BYTES)) {
        const pages = Math.ceil(byteLength / pageBytes);
        resident += countResidentPages(kernel32, address, pages, pageBytes) * pageBytes;
      }
      return resident;
    },

    faults: () => ({ minor: processCounters(kernel32).faults, major: 0 }),
    memory: () => windowsMemory(kernel32),

    exit: (code) => void kernel32.TerminateProcess(MINUS_ONE, code),
  };
}

/**
 * Asks the system to read the ranges ahead in large requests. It fills the page cache, not the working
 * set, and only as far as memory allows: a hint (memoryapi.h).
 */
function prefetch(
  { PrefetchVirtualMemory }: Kernel32,
  ranges: readonly { readonly address: bigint; readonly byteLength: number }[],
): boolean {
  const mapped = ranges.filter(({ address }) => address !== 0n);
  if (mapped.length === 0) return false;
  // WIN32_MEMORY_RANGE_ENTRY: an address and a number of bytes.
  const entries = BigUint64Array.from(
    mapped.flatMap(({ address, byteLength }) => [address, BigInt(byteLength)]),
  );
  return PrefetchVirtualMemory(MINUS_ONE, mapped.length, entries, 0) !== 0;
}
