import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type DescribedFile,
  type FileFacts,
  loadShim,
  type Shim,
  SystemError,
} from "../../shims/index.ts";
import { sharedBuffer } from "../../src/control/arena-control.ts";
import { fincore, hasFincore, writeDataFile } from "../helpers/data-file.ts";
import { parseOutput, runChild } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { expectNearly, looksAtPageCache } from "../helpers/tolerance.ts";
import { factsOf } from "./facts-of.ts";

const MIB = 1024 ** 2;
const SIZE = 8 * MIB;

// The calls of `shims/linux.ts` themselves: there is nothing to ask of them on another system.
describe.skipIf(process.platform !== "linux")("the Linux shim", () => {
  const folder = temporaryFolder();
  const path = writeDataFile(join(folder, "data"), SIZE);
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
});
