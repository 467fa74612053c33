import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import koffi from "koffi";

/** Calls of the C library that the cases make themselves, so as not to believe the package. */
const libc = koffi.load(null);
const mmap = libc.func("void *mmap(void *at, size_t n, int prot, int flags, int fd, int64_t off)");
const munmap = libc.func("int munmap(void *at, size_t n)");
const madvise = libc.func("int madvise(void *at, size_t n, int advice)");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const syscall = libc.func("long syscall(long n, int fd, void *a, void *b, unsigned int c)");
export const pageBytes: number = libc.func("int getpagesize()")();

const [PROT_NONE, PROT_READ, MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS] = [
  0, 1, 1, 2, 16, 32,
];
const MADV_POPULATE_READ = 22;
const CACHESTAT = 451;
const FIBMAP = 1; // linux/fs.h

export function hasCachestat(): boolean {
  assert.equal(syscall(CACHESTAT, -1, null, null, 0), -1);
  return koffi.errno() !== koffi.os.errno["ENOSYS"];
}

/** What the processor maps at once, 2 MiB with pages of 4 KiB, 32 MiB with those of 16 KiB. */
export function hugePageBytes(): number {
  return Number(readFileSync("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "utf8"));
}

/**
 * Bytes of a cached file that another mapping of it gets in huge pages, as the kernel itself counts
 * them: that takes page cache in folios of that size.
 */
export function bytesInHugePages(path: string): number {
  const huge = BigInt(hugePageBytes());
  const byteLength = statSync(path).size;
  const reserved = BigInt(byteLength) + 2n * huge;
  const fd = openSync(path, "r");
  const room: bigint = mmap(null, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  try {
    // A huge page is one only where address and file offset agree.
    const at = ((room + huge - 1n) / huge) * huge;
    assert.equal(mmap(at, byteLength, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0), at);
    assert.equal(madvise(at, byteLength, MADV_POPULATE_READ), 0);
    return hugePagesOf(path);
  } finally {
    munmap(room, reserved);
    closeSync(fd);
  }
}

/** `FilePmdMapped` of the file's mappings in this process (proc_pid_smaps(5)). */
function hugePagesOf(path: string): number {
  const mappings = readFileSync("/proc/self/smaps", "utf8").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return mappings
    .filter((each) => each.split("\n", 1)[0]?.endsWith(` ${path}`))
    .map((each) => Number(/^FilePmdMapped: +(\d+) kB$/m.exec(each)?.[1] ?? 0) * 1024)
    .reduce((sum, bytes) => sum + bytes, 0);
}

/** Where a block of a file lies on its device: the number of the block there. */
export function blockOf(path: string, block: number): number {
  const fd = openSync(path, "r");
  try {
    const number = new Int32Array([block]);
    assert.equal(ioctl(fd, FIBMAP, number), 0);
    return number[0] ?? 0;
  } finally {
    closeSync(fd);
  }
}
