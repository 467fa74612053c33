import { execFileSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type DescribedFile,
  type FileFacts,
  loadShim,
  type Shim,
  SystemError,
} from "../../shims/index.ts";
import { sharedBuffer } from "../../src/control/arena-control.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { mappingsOf } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { factsOf } from "./facts-of.ts";

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

  beforeAll(async () => {
    shim = await loadShim();
    facts = await factsOf(shim, path);
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

  test("counts the faults of a touch", () => {
    const before = shim.faults();
    place(0, SIZE, 0);
    shim.zapPageTables(base, SIZE);
    for (let at = 0; at < SIZE; at += 4096) bytes[at];
    const after = shim.faults();
    expect(after.minor + after.major).toBeGreaterThan(before.minor + before.major);
  });

  afterAll(() => {
    expect(mappingsOf(folder)).toEqual([]);
  });
});
