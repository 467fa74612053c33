import { bindExtra } from "./libc.ts";

/** A `HANDLE` or an address; `null` is 0. */
export type Pointer = bigint | null;

/** `INVALID_HANDLE_VALUE` (handleapi.h), and what `GetCurrentProcess()` always returns: -1. */
export const MINUS_ONE = 2n ** 64n - 1n;

/**
 * The Windows functions that this package calls, bound once. Structures are passed as typed arrays in
 * the layout of 64-bit Windows, the same on x64 and arm64; the code that fills one names its fields.
 */
export function bindKernel32() {
  const bind = <F>(signature: string) => bindExtra<F>(signature, "kernel32.dll");
  return {
    /** From the running program: node.exe and Electron export libuv for addons. */
    uv_get_osfhandle: bindExtra<(fd: number) => Pointer>("void *uv_get_osfhandle(int fd)"),

    GetLastError: bind<() => number>("uint32_t GetLastError()"),
    GetSystemInfo: bind<(info: Uint32Array) => void>("void GetSystemInfo(void *info)"),
    TerminateProcess: bind<(process: Pointer, code: number) => number>(
      "int TerminateProcess(void *process, uint32_t code)",
    ),
    CloseHandle: bind<(handle: Pointer) => number>("int CloseHandle(void *handle)"),

    CreateFileMappingW: bind<
      (
        file: Pointer,
        security: null,
        protect: number,
        high: number,
        low: number,
        n: null,
      ) => Pointer
    >(
      "void *CreateFileMappingW(void *file, void *security, uint32_t protect, uint32_t high, uint32_t low, void *name)",
    ),
    MapViewOfFile: bind<
      (section: Pointer, access: number, high: number, low: number, bytes: number) => Pointer
    >(
      "void *MapViewOfFile(void *section, uint32_t access, uint32_t high, uint32_t low, size_t bytes)",
    ),
    UnmapViewOfFile: bind<(at: Pointer) => number>("int UnmapViewOfFile(void *at)"),

    PrefetchVirtualMemory: bind<
      (process: Pointer, count: number, ranges: BigUint64Array, flags: number) => number
    >(
      "int PrefetchVirtualMemory(void *process, uintptr_t count, const void *ranges, uint32_t flags)",
    ),
    VirtualLock: bind<(at: Pointer, bytes: number) => number>(
      "int VirtualLock(void *at, size_t bytes)",
    ),
    VirtualUnlock: bind<(at: Pointer, bytes: number) => number>(
      "int VirtualUnlock(void *at, size_t bytes)",
    ),
    ReadProcessMemory: bind<
      (process: Pointer, at: Pointer, into: Uint8Array, bytes: number, read: null) => number
    >("int ReadProcessMemory(void *process, void *at, void *into, size_t bytes, void *read)"),

    GetProcessWorkingSetSizeEx: bind<
      (process: Pointer, least: BigUint64Array, most: BigUint64Array, flags: Uint32Array) => number
    >("int GetProcessWorkingSetSizeEx(void *process, void *least, void *most, void *flags)"),
    SetProcessWorkingSetSizeEx: bind<
      (process: Pointer, least: number, most: number, flags: number) => number
    >("int SetProcessWorkingSetSizeEx(void *process, size_t least, size_t most, uint32_t flags)"),
    // The K32 names are kernel32's own; psapi.dll only forwards to them (psapi.h, PSAPI_VERSION 2).
    K32QueryWorkingSetEx: bind<(process: Pointer, pages: BigUint64Array, bytes: number) => number>(
      "int K32QueryWorkingSetEx(void *process, void *pages, uint32_t bytes)",
    ),
    K32GetProcessMemoryInfo: bind<
      (process: Pointer, counters: Uint32Array, bytes: number) => number
    >("int K32GetProcessMemoryInfo(void *process, void *counters, uint32_t bytes)"),
    GlobalMemoryStatusEx: bind<(status: BigUint64Array) => number>(
      "int GlobalMemoryStatusEx(void *status)",
    ),
    QueryInformationJobObject: bind<
      (job: null, what: number, info: BigUint64Array, bytes: number, returned: null) => number
    >(
      "int QueryInformationJobObject(void *job, int what, void *info, uint32_t bytes, void *returned)",
    ),
  };
}

export type Kernel32 = ReturnType<typeof bindKernel32>;

/** winerror.h; the errors that mapping a file can end with. */
const ERROR_NAMES: Readonly<Record<number, string>> = {
  5: "ERROR_ACCESS_DENIED",
  6: "ERROR_INVALID_HANDLE",
  8: "ERROR_NOT_ENOUGH_MEMORY",
  23: "ERROR_CRC",
  87: "ERROR_INVALID_PARAMETER",
  299: "ERROR_PARTIAL_COPY",
  487: "ERROR_INVALID_ADDRESS",
  998: "ERROR_NOACCESS",
  999: "ERROR_SWAPERROR",
  1006: "ERROR_FILE_INVALID",
  1117: "ERROR_IO_DEVICE",
  1132: "ERROR_MAPPED_ALIGNMENT",
  1453: "ERROR_WORKING_SET_QUOTA",
  1455: "ERROR_COMMITMENT_LIMIT",
};

/** Name of the error of this thread's last call. koffi keeps it between calls. */
export function lastWindowsError({ GetLastError }: Kernel32): string {
  const number = GetLastError();
  return ERROR_NAMES[number] ?? `Windows error ${number}`;
}
