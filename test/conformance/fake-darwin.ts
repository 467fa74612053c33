import assert from "node:assert/strict";
import { type DarwinCalls, darwinShim } from "../../shims/darwin.ts";
import { bindExtra, bindLibc, type Libc } from "../../shims/libc.ts";
import type { Shim } from "../../shims/shim.ts";

/** Apple silicon's. */
export const PAGE_BYTES = 16_384;

/** macOS's flag of `mmap`, and Linux's. Any other bit is a mistake of the shim. */
const FLAGS: readonly (readonly [name: string, darwin: number, linux: number])[] = [
  ["MAP_SHARED", 0x0001, 0x01],
  ["MAP_PRIVATE", 0x0002, 0x02],
  ["MAP_FIXED", 0x0010, 0x10],
  ["MAP_NORESERVE", 0x0040, 0x4000],
  ["MAP_ANON", 0x1000, 0x20],
];

/** Linux's, fcntl.h. */
const POSIX_FADV_DONTNEED = 4;

/** What macOS's `mincore` may set besides: referenced here and elsewhere; paged out. */
const INCORE = 0x01 | 0x02 | 0x08;
const PAGED_OUT = 0x20;

export interface FakeDarwin {
  readonly shim: Shim;
  /** What `F_RDADVISE` was asked for. */
  readonly advised: { offset: bigint; count: number }[];
  readonly sysctls: Map<string, bigint>;
}

/**
 * The macOS shim over a libc that takes what Apple's headers say and does it by Linux's own. It
 * cannot show that macOS does what its headers say.
 */
export function fakeDarwin(): FakeDarwin {
  const libc = bindLibc();
  const linuxPage = libc.getpagesize();
  const fadvise = bindExtra<(fd: number, off: number, bytes: number, advice: number) => number>(
    "int posix_fadvise(int fd, int64_t off, int64_t bytes, int advice)",
  );
  const mapped = new Map<bigint, { fd: number; offset: number }>();
  const advised: FakeDarwin["advised"] = [];
  const sysctls = new Map([
    ["hw.memsize", 16n * 1024n ** 3n],
    ["vm.page_free_count", 100_000n],
    ["vm.page_pageable_external_count", 200_000n],
    ["vm.page_purgeable_count", 1_000n],
  ]);

  const fakeLibc: Libc = {
    ...libc,
    getpagesize: () => PAGE_BYTES,
    mmap(at, bytes, prot, flags, fd, offset) {
      assert.equal(Number(at ?? 0n) % PAGE_BYTES, 0);
      const known = FLAGS.filter(([, darwin]) => (flags & darwin) !== 0);
      assert.equal(
        known.reduce((rest, [, darwin]) => rest & ~darwin, flags),
        0,
        "only flags macOS knows",
      );
      const linuxFlags = known.reduce((all, [, , bit]) => all | bit, 0);
      const address = libc.mmap(at, bytes, prot, linuxFlags, fd, offset);
      mapped.set(address, { fd, offset });
      return address;
    },
    mincore(at, bytes, pages) {
      const each = new Uint8Array(Math.ceil(bytes / linuxPage));
      const result = libc.mincore(at, bytes, each);
      const ratio = PAGE_BYTES / linuxPage;
      for (let page = 0; page < pages.length; page++) {
        const parts = each.subarray(page * ratio, (page + 1) * ratio);
        pages[page] = parts.every((part) => part & 1) ? INCORE : PAGED_OUT;
      }
      return result;
    },
    madvise: () => assert.fail("macOS's madvise blocks and reads everything"),
    getrusage(who, usage) {
      assert.equal(who, 0, "RUSAGE_SELF");
      return libc.getrusage(who, usage);
    },
  };

  const calls: DarwinCalls = {
    fcntl(_fd, command, _type, argument) {
      if (typeof argument === "number") {
        assert.equal(command, 45, "F_RDAHEAD");
        return 0;
      }
      assert.equal(command, 44, "F_RDADVISE");
      assert.equal(argument.byteLength, 16);
      const count = argument.getInt32(8, true);
      assert.ok(count > 0);
      advised.push({ offset: argument.getBigInt64(0, true), count });
      return 0;
    },
    msync(at, bytes, flags) {
      assert.equal(flags, 0x0002, "MS_INVALIDATE");
      const { fd, offset } = mapped.get(at) ?? assert.fail("msync of what is not mapped");
      return fadvise(fd, offset, bytes, POSIX_FADV_DONTNEED);
    },
    sysctlbyname(name, value, bytes) {
      const found = sysctls.get(name);
      if (found === undefined) return -1;
      assert.equal(bytes[0], 8n);
      new DataView(value.buffer).setBigUint64(0, found, true);
      return 0;
    },
  };
  return { shim: darwinShim(fakeLibc, calls), advised, sysctls };
}
