import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type DescribedFile,
  type FileFacts,
  loadShim,
  type Shim,
  SystemError,
} from "../../shims/index.ts";
import { sharedBuffer } from "../../src/control/arena-control.ts";
import { fincore, hasFincore, writeDataFile } from "../helpers/data-file.ts";
import { mappingsOf, until } from "../helpers/process-facts.ts";
import { parseOutput, runChild } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { expectNearly, looksAtPageCache, mostOf } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;
const SIZE = 8 * MIB;

// The calls of `shims/linux.ts` themselves: there is nothing to ask of them on another system.
describe.skipIf(process.platform !== "linux")("the Linux shim", () => {
  const folder = temporaryFolder();
  const path = writeDataFile(join(folder, "data"), SIZE);
  const original = readFileSync(path);
  const memory = new WebAssembly.Memory({ initial: 512, maximum: 512, shared: true });
  const bytes = new Uint8Array(sharedBuffer(memory));
  let shim: Shim;
  let base: bigint;
  let fd: number;
  let facts: FileFacts;
  let file: DescribedFile;

  async function factsOf(name: string): Promise<FileFacts> {
    const handle = await open(name);
    try {
      return await shim.describeFile({ handle, path: name });
    } finally {
      await handle.close();
    }
  }

  beforeAll(async () => {
    shim = await loadShim();
    facts = await factsOf(path);
    base = shim.addressOf(sharedBuffer(memory));
  });
  beforeEach(() => {
    fd = openSync(path, "r");
    file = { fd, path, facts };
    return () => {
      shim.restore(base, bytes.length);
      closeSync(fd);
    };
  });

  const place = (at: number, byteLength: number, offset: number) =>
    shim.place(base + BigInt(at), byteLength, fd, offset);

  /** The page cache of the file, emptied. A page that the system is just looking at may stay. */
  const evictAll = async () => {
    do await shim.evict(fd, 0, SIZE);
    while ((shim.residentBytes(file, 0, SIZE) ?? 0) > SIZE / 100);
  };

  test("is the one chosen here", () => {
    expect(shim.name).toBe("linux");
    expect(shim.canPlace).toBe(true);
    expect(shim.pageBytes).toBe(
      Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8" })),
    );
  });

  describe("place", () => {
    test("lays the file's bytes into the memory", () => {
      place(2 * MIB, SIZE, 0);
      expect(Buffer.from(bytes.subarray(2 * MIB, 2 * MIB + SIZE)).equals(original)).toBe(true);
    });

    test("lays a part of the file, and touches nothing beside it", () => {
      bytes.fill(7, 0, 4 * MIB);
      place(65_536, 131_072, 65_536);
      expect(bytes[65_535]).toBe(7);
      expect(bytes[65_536 + 131_072]).toBe(7);
      const batch = Buffer.from(bytes.slice(65_536, 65_536 + 131_072));
      expect(batch.equals(original.subarray(65_536, 65_536 + 131_072))).toBe(true);
    });

    test("keeps stores from the file, and from other mappings of it", () => {
      place(0, MIB, 0);
      place(MIB, MIB, 0);
      bytes.fill(0xee, 0, MIB);
      expect(Buffer.from(bytes.slice(MIB, 2 * MIB)).equals(original.subarray(0, MIB))).toBe(true);
      expect(readFileSync(path).equals(original)).toBe(true);
    });

    test("maps privately and writably, and counts against no overcommit limit", () => {
      place(0, MIB, 0);
      expect(mappingsOf(path).map(({ access }) => access)).toEqual(["rw-p"]);
      const smaps = readFileSync("/proc/self/smaps", "utf8");
      const flags = /VmFlags:(.*)/.exec(smaps.slice(smaps.indexOf(path)))?.[1];
      expect(flags?.split(" ")).toContain("nr");
    });

    test("fails with the call, the sizes and the errno's name", () => {
      expect(() => shim.place(base + 1n, MIB, fd, 0)).toThrow(
        new SystemError(`mmap of ${MIB} bytes at offset 0`, "EINVAL"),
      );
      expect(() => place(0, MIB, 1)).toThrow("at offset 1 failed with EINVAL");
      expect(() => shim.place(base, MIB, -1, 0)).toThrow("EBADF");
    });
  });

  test("restore puts an ordinary memory of zeros back", () => {
    bytes.fill(7, 0, 4 * MIB);
    place(0, 2 * MIB, 0);
    bytes.fill(9, 0, 1000);
    shim.restore(base, 2 * MIB);
    expect(bytes.subarray(0, 2 * MIB).every((byte) => byte === 0)).toBe(true);
    expect(bytes[2 * MIB]).toBe(7);
    expect(mappingsOf(path)).toEqual([]);
    bytes.fill(5, 0, MIB);
    expect(bytes[MIB - 1]).toBe(5);
    bytes.fill(0, 0, 4 * MIB);
  });

  test("says where a buffer lies", () => {
    expect(base % 4096n).toBe(0n);
    const mark = new Uint8Array(sharedBuffer(memory));
    place(0, 65_536, 0);
    expect(mappingsOf(path)[0]?.start).toBe(base);
    expect(mark[0]).toBe(original[0]);
  });

  describe("populate", () => {
    test("makes every page resident and mapped", looksAtPageCache, async ({ skip }) => {
      if (!shim.canPopulate) skip("this kernel has no MADV_POPULATE_READ");
      await evictAll();
      place(0, SIZE, 0);
      shim.populate(base, SIZE);
      expect(shim.residentBytes(file, 0, SIZE)).toBeGreaterThan(mostOf(SIZE));
      const before = shim.faults();
      let sum = 0;
      for (let at = 0; at < SIZE; at += 4096) sum += bytes[at] ?? 0;
      expect(sum).toBeGreaterThan(0);
      // All but what the system took away meanwhile.
      expect(shim.faults().minor - before.minor).toBeLessThan(SIZE / 4096 / 10);
    });

    test("says EFAULT past the end of a truncated file, and the process lives", ({ skip }) => {
      if (!shim.canPopulate) skip("this kernel has no MADV_POPULATE_READ");
      const shrinking = writeDataFile(join(folder, "shrinking"), 2 * MIB);
      const own = openSync(shrinking, "r");
      shim.place(base, 2 * MIB, own, 0);
      truncateSync(shrinking, MIB);
      expect(() => shim.populate(base, 2 * MIB)).toThrow(
        new SystemError(`madvise(MADV_POPULATE_READ) of ${2 * MIB} bytes`, "EFAULT"),
      );
      shim.populate(base, MIB);
      closeSync(own);
    });
  });

  describe("advise", () => {
    test("takes what the kernel has, and says false to what it refuses", () => {
      place(0, SIZE, 0);
      expect(shim.advise(base, SIZE, "will-need")).toBe(true);
      expect(shim.advise(base + 1n, SIZE, "will-need")).toBe(false);
      // The folder is there when the kernel was built with huge pages.
      const hasHugePages = existsSync("/sys/kernel/mm/transparent_hugepage");
      expect(shim.advise(base, SIZE, "huge-pages")).toBe(hasHugePages);
    });

    test.each(["will-need", "huge-pages", "random", "normal"] as const)(
      "leaves what was stored: %s",
      (advice) => {
        place(0, SIZE, 0);
        bytes.fill(7, 0, SIZE);
        shim.advise(base, SIZE, advice);
        expect(bytes.subarray(0, SIZE).every((byte) => byte === 7)).toBe(true);
      },
    );
  });

  test("asks for the faults of a mapping without touching the ones there are", async () => {
    place(2 * MIB, 2 * MIB, 0);
    bytes.fill(7, 2 * MIB, 4 * MIB);
    const before = mappingsOf(path);
    const faults = shim.faultsOfNewMapping(fd, 0, 2 * MIB);
    if (shim.canPopulate) expect(faults).toBeGreaterThan(0);
    expect(mappingsOf(path)).toEqual(before);
    expect(bytes.subarray(2 * MIB, 4 * MIB).every((byte) => byte === 7)).toBe(true);
    expect(shim.faultsOfNewMapping(-1, 0, 2 * MIB)).toBeNull();
    expect(shim.faultsOfNewMapping(fd, SIZE, 2 * MIB)).toBeNull();
  });

  describe("zapping page tables", () => {
    test("keeps the pages in the page cache, and loses what was stored", looksAtPageCache, () => {
      place(0, SIZE, 0);
      bytes[0] = (original[0] ?? 0) ^ 0xff;
      const resident = shim.residentBytes(file, 0, SIZE) ?? 0;
      expect(shim.zapPageTables(base, SIZE)).toBe(true);
      expect(bytes[0]).toBe(original[0]);
      expect(shim.residentBytes(file, 0, SIZE)).toBeGreaterThanOrEqual(mostOf(resident));
    });
  });

  describe("residency", () => {
    test.skipIf(!hasFincore)("agrees with fincore", looksAtPageCache, async () => {
      readFileSync(path);
      expectNearly(shim.residentBytes(file, 0, SIZE), fincore(path) ?? 0);
      await evictAll();
      readSync(fd, Buffer.alloc(MIB), 0, MIB, 3 * MIB);
      const resident = shim.residentBytes(file, 0, SIZE);
      expectNearly(resident, fincore(path) ?? 0);
      expect(resident).toBeGreaterThan(0.9 * MIB);
      expect(resident).toBeLessThan(SIZE);
    });

    test(
      "by cachestat agrees with that by mincore, in any range, on any thread",
      looksAtPageCache,
      async () => {
        await evictAll();
        readSync(fd, Buffer.alloc(MIB), 0, MIB, 4 * MIB);
        const { pageBytes } = shim;
        const mapped = { ...file, facts: { ...facts, countsPages: false } };
        for (const [offset, byteLength] of [
          [0, SIZE],
          [4 * MIB, pageBytes],
          [4 * MIB - pageBytes, 2 * pageBytes],
          [5 * MIB - 2 * pageBytes, MIB],
          [0, pageBytes],
        ] as const) {
          const counted = shim.residentBytes(file, offset, byteLength);
          expect(shim.residentBytes(mapped, offset, byteLength)).toBe(counted);
          for (const each of [file, mapped]) {
            expect(await shim.residentBytesInBackground(each, offset, byteLength)).toBe(counted);
          }
        }
      },
    );

    test("of memory is known where all of it is mapped", looksAtPageCache, async () => {
      readFileSync(path);
      place(0, SIZE, 0);
      const { pageBytes } = shim;
      const at = (offset: number, byteLength: number) => {
        return { address: base + BigInt(offset), byteLength };
      };
      expect(await shim.residentBytesAt([at(0, pageBytes), at(4 * MIB, MIB)])).toBe(
        pageBytes + MIB,
      );
      expect(await shim.residentBytesAt([{ address: 0x1000n, byteLength: pageBytes }])).toBeNull();
    });

    test("is unknown where the file may not be mapped and pages are not counted", async () => {
      const remote = { ...file, facts: { ...facts, countsPages: false, mayMap: false } };
      expect(shim.residentBytes(remote, 0, SIZE)).toBeNull();
      expect(await shim.residentBytesInBackground(remote, 0, SIZE)).toBeNull();
    });

    test("of no bytes is 0, not that of the whole file", () => {
      readFileSync(path);
      expect(shim.residentBytes(file, 0, 0)).toBe(0);
    });

    test("counts whole pages, the last one of a file included", looksAtPageCache, () => {
      const ragged = writeDataFile(join(folder, "ragged"), 5000);
      const own = openSync(ragged, "r");
      readFileSync(ragged);
      for (const countsPages of [true, false]) {
        const asked = { fd: own, path: ragged, facts: { ...facts, countsPages } };
        expect(shim.residentBytes(asked, 0, 8192)).toBe(8192);
      }
      closeSync(own);
    });

    test.skipIf(process.getuid?.() !== 0)("is unknown to someone who may not know", async () => {
      const script = `
        import { open } from "node:fs/promises";
        import { loadShim } from "${import.meta.resolve("../../shims/index.ts")}";
        const shim = await loadShim();
        const handle = await open(process.argv[1]);
        const address = shim.addressOf(new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true }).buffer);
        shim.place(address, 4096, handle.fd, 0);
        process.setgroups([]);
        process.setgid(65534);
        process.setuid(65534);
        const facts = await shim.describeFile({ handle, path: process.argv[1] });
        const file = { fd: handle.fd, path: process.argv[1], facts };
        console.log(JSON.stringify([
          facts.mayKnow,
          shim.residentBytes(file, 0, 4096),
          await shim.residentBytesInBackground(file, 0, 4096),
          await shim.residentBytesAt([{ address, byteLength: 4096 }]),
        ]));
      `;
      const child = await runChild(script, [path], { flags: ["--import", "tsx"] });
      expect(parseOutput(child)).toEqual([false, null, null, null]);
    });
  });

  describe("evict", () => {
    test("drops what it is asked to, and nothing else", looksAtPageCache, async () => {
      await evictAll();
      readFileSync(path);
      await shim.evict(fd, 4 * MIB, 4 * MIB);
      expect(shim.residentBytes(file, 4 * MIB, 4 * MIB)).toBeLessThan(0.1 * MIB);
      expect(shim.residentBytes(file, 0, 4 * MIB)).toBeGreaterThan(3.5 * MIB);
    });

    test("fails on what is no file", async () => {
      await expect(shim.evict(-1, 0, MIB)).rejects.toThrow(
        new SystemError(`posix_fadvise of ${MIB} bytes`, "EBADF"),
      );
    });
  });

  test("counts the faults of a touch", () => {
    const before = shim.faults();
    place(0, SIZE, 0);
    shim.zapPageTables(base, SIZE);
    for (let at = 0; at < SIZE; at += 4096) bytes[at];
    const after = shim.faults();
    expect(after.minor + after.major).toBeGreaterThan(before.minor + before.major);
  });

  describe("the lease", () => {
    const leased = join(folder, "leased");
    beforeEach(() => void writeDataFile(leased, MIB));

    const withLease = async (act: (lease: { hold(): boolean; release(): void }) => unknown) => {
      const own = openSync(leased, "r");
      const lease = shim.openLease({ fd: own, path: leased, facts });
      if (lease === null) throw new Error("no lease");
      try {
        await act(lease);
      } finally {
        lease.release();
        lease.close();
        closeSync(own);
      }
    };

    test("cannot be held while someone has the file open for writing, and can be afterwards", () =>
      withLease((lease) => {
        const writer = openSync(leased, "r+");
        expect(lease.hold()).toBe(false);
        closeSync(writer);
        expect(lease.hold()).toBe(true);
      }));

    test("can be held again and again, and by several at a time", () =>
      withLease((first) =>
        withLease((second) => {
          for (let round = 0; round < 100; round++) {
            expect(first.hold()).toBe(true);
            expect(second.hold()).toBe(true);
            first.release();
            second.release();
          }
        }),
      ));

    test("makes another process that truncates wait, and its signal does no harm", () =>
      withLease(async (lease) => {
        expect(lease.hold()).toBe(true);
        // `truncate` itself does not wait, but fails with EWOULDBLOCK.
        const truncating = spawn("sh", ["-c", ': > "$0"', leased]);
        const exit = once(truncating, "exit");
        // Once the kernel says that the lease is being broken, the other one waits.
        const { ino } = statSync(leased);
        await until(
          () => new RegExp(`LEASE\\s+BREAK.*:${ino} `).test(readFileSync("/proc/locks", "utf8")),
          "the lease is being broken",
        );
        await sleep(50);
        expect(statSync(leased).size).toBe(MIB);
        lease.release();
        expect(await exit).toEqual([0, null]);
        expect(statSync(leased).size).toBe(0);
      }));

    test("does not keep readers away", () =>
      withLease((lease) => {
        expect(lease.hold()).toBe(true);
        expect(readFileSync(leased)).toHaveLength(MIB);
      }));
  });

  afterAll(() => {
    expect(mappingsOf(folder)).toEqual([]);
  });
});
