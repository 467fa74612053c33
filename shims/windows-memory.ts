import { type Kernel32, MINUS_ONE } from "./kernel32.ts";
import type { SystemMemory } from "./shim.ts";

const MEMORYSTATUSEX_BYTES = 64n; // sysinfoapi.h: two u32, then seven u64
const TOTAL_PHYS = 1;
const AVAIL_PHYS = 2;

const PROCESS_MEMORY_COUNTERS_BYTES = 72; // psapi.h: two u32, then eight u64
const PAGE_FAULT_COUNT = 1; // in 32-bit words
const PAGEFILE_USAGE = 14; // in 32-bit words, a u64

/** `JobObjectExtendedLimitInformation` (winnt.h), of which these are 64-bit words. */
const EXTENDED_LIMITS = 9;
const EXTENDED_LIMITS_WORDS = 18;
const LIMIT_FLAGS = 2;
const PROCESS_MEMORY_LIMIT = 14;
const JOB_MEMORY_LIMIT = 15;
const JOB_OBJECT_LIMIT_PROCESS_MEMORY = 0x100n;
const JOB_OBJECT_LIMIT_JOB_MEMORY = 0x200n;

/**
 * The memory of the machine, or of the process's job. Available memory includes the standby list, which
 * holds cached pages of files (GlobalMemoryStatusEx, `ullAvailPhys`).
 *
 * A job limits committed memory, and a view of a file is not part of that. The limit counts here all the
 * same, as in .NET (`gcenv.windows.cpp`, `GetRestrictedPhysicalMemoryLimit`): an administrator who sets
 * it wants the process to stay below it.
 */
export function windowsMemory(kernel32: Kernel32): SystemMemory | null {
  const status = new BigUint64Array(Number(MEMORYSTATUSEX_BYTES) / 8);
  status[0] = MEMORYSTATUSEX_BYTES;
  if (kernel32.GlobalMemoryStatusEx(status) === 0) return null;
  const machineBytes = Number(status[TOTAL_PHYS]);
  const freeBytes = Number(status[AVAIL_PHYS]);
  const limitBytes = jobLimit(kernel32);
  if (limitBytes === null) return { totalBytes: machineBytes, availableBytes: freeBytes };
  const left = Math.max(0, limitBytes - processCounters(kernel32).committedBytes);
  return {
    totalBytes: Math.min(machineBytes, limitBytes),
    availableBytes: Math.min(freeBytes, left),
  };
}

/** The tighter of the limits of this process's job; `null` where there is no job or no limit. */
function jobLimit({ QueryInformationJobObject }: Kernel32): number | null {
  const info = new BigUint64Array(EXTENDED_LIMITS_WORDS);
  if (QueryInformationJobObject(null, EXTENDED_LIMITS, info, info.byteLength, null) === 0) {
    return null;
  }
  const flags = info[LIMIT_FLAGS] ?? 0n;
  const limits = [
    ...(flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY ? [Number(info[PROCESS_MEMORY_LIMIT])] : []),
    ...(flags & JOB_OBJECT_LIMIT_JOB_MEMORY ? [Number(info[JOB_MEMORY_LIMIT])] : []),
  ];
  return limits.length === 0 ? null : Math.min(...limits);
}

/** Counters of the whole process: Windows counts neither by thread, nor major faults apart. */
export function processCounters({ K32GetProcessMemoryInfo }: Kernel32) {
  const counters = new Uint32Array(PROCESS_MEMORY_COUNTERS_BYTES / 4);
  counters[0] = PROCESS_MEMORY_COUNTERS_BYTES;
  K32GetProcessMemoryInfo(MINUS_ONE, counters, PROCESS_MEMORY_COUNTERS_BYTES);
  const [low = 0, high = 0] = counters.subarray(PAGEFILE_USAGE);
  return { faults: counters[PAGE_FAULT_COUNT] ?? 0, committedBytes: low + high * 2 ** 32 };
}
