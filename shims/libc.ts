import koffi from "koffi";
import { SystemError } from "./system-error.ts";

/** What `mmap` returns for a failure: `(void *) -1`, which koffi gives as an unsigned bigint. */
export const MAP_FAILED = 2n ** 64n - 1n;

/**
 * The C library, bound once. Only this file sees koffi's untyped calls: each gets its type here.
 *
 * The symbols come from the running program, so any C library will do (glibc, musl).
 */
export function bindLibc() {
  const program = koffi.load(null);
  const bind = <F>(signature: string) => program.func(signature) as unknown as F;
  type Address = bigint | null;
  const madvise = program.func("int madvise(void *at, size_t bytes, int advice)");
  return {
    mmap: bind<
      (at: Address, bytes: number, prot: number, flags: number, fd: number, off: number) => bigint
    >("void *mmap(void *at, size_t bytes, int prot, int flags, int fd, int64_t off)"),
    munmap: bind<(at: Address, bytes: number) => number>("int munmap(void *at, size_t bytes)"),
    madvise: madvise as unknown as (at: Address, bytes: number, advice: number) => number,
    /** On a thread of libuv's. Fulfilled when the call has returned, whether it worked or not. */
    madviseInBackground: (at: Address, bytes: number, advice: number) =>
      new Promise<void>((resolve) => madvise.async(at, bytes, advice, () => resolve())),
    mincore: bind<(at: Address, bytes: number, pages: Uint8Array) => number>(
      "int mincore(void *at, size_t bytes, void *pages)",
    ),
    getpagesize: bind<() => number>("int getpagesize()"),
    getrusage: bind<(who: number, usage: BigInt64Array) => number>(
      "int getrusage(int who, void *usage)",
    ),
  };
}

/**
 * Makes koffi's call stack and heap small, for this package's own threads: koffi keeps both when a
 * thread ends, 3 MiB of addresses for each thread by default. Calls of this package take few arguments.
 */
export function keepCallsSmall(): void {
  koffi.config({ ...koffi.config(), sync_stack_size: 65_536, sync_heap_size: 65_536 });
}

export type Libc = ReturnType<typeof bindLibc>;

/**
 * Binds a function that not every system has.
 *
 * @param library the library that has it; @defaultValue the running program
 */
export function bindExtra<F>(signature: string, library: string | null = null): F {
  return koffi.load(library).func(signature) as unknown as F;
}

/** Arguments of calls that run on other threads: kept, so that they are not garbage-collected. */
const inUse = new Set<readonly unknown[]>();

/** Binds a function of the C library to be called on a thread of libuv's. Its errno is lost. */
export function bindInBackground<A extends readonly unknown[], R>(
  signature: string,
): (...args: A) => Promise<R> {
  const call = koffi.load(null).func(signature);
  return (...args) =>
    new Promise<R>((resolve, reject) => {
      inUse.add(args);
      call.async(...args, (error: unknown, result: R) => {
        inUse.delete(args);
        if (error) reject(error);
        else resolve(result);
      });
    });
}

export function addressOf(buffer: SharedArrayBuffer): bigint {
  return koffi.address(new Uint8Array(buffer, 0, 1)) as bigint;
}

/** Name of the error of this thread's last call. */
export function lastErrno(): string {
  return errnoName(koffi.errno());
}

export function errnoName(number: number): string {
  const named = Object.entries(koffi.os.errno).find(([, value]) => value === number);
  return named?.[0] ?? `errno ${number}`;
}

/** @throws {@link SystemError} when the call returned anything but 0 */
export function expectZero(result: number, call: string): void {
  if (result !== 0) throw new SystemError(call, lastErrno());
}

/** @throws {@link SystemError} when the mapping failed */
export function expectMapping(result: bigint, call: string): bigint {
  if (result === MAP_FAILED) throw new SystemError(call, lastErrno());
  return result;
}
