import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { evict, findMappings, prefault, residency } from "prefault";
import { describe, expect, onTestFinished, test } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { mapForeign } from "../fixtures/foreign-mapping.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { mappedInTables } from "../helpers/private-memory.ts";
import { runFixture } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { expectNearly, looksAtPageCache, mostOf } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;
const BYTES = 64 * MIB;
const PAGE = 4096;
/** Below everything: nothing is ever mapped there, while what was unmapped is soon used again. */
const NOTHING = { address: 0x100000n, byteLength: MIB };

const { canPopulate, pageBytes, name: system } = await loadShim();
const options = { gate: "always", log() {} } as const;

describe.skipIf(system !== "linux" || !canPopulate || pageBytes !== PAGE)(
  "memory that somebody else mapped",
  () => {
    const folder = temporaryFolder();

    /** A cold file of its own, mapped as an engine would. */
    async function mapped(name: string, offset = 0) {
      const path = writeDataFile(join(folder, name), BYTES);
      await evict(path);
      const mapping = mapForeign(path, BYTES - offset, offset);
      onTestFinished(() => mapping.unmap());
      return { path, ...mapping };
    }

    test("is filled in place", looksAtPageCache, async () => {
      const { path, address, byteLength } = await mapped("whole");
      expect(mappedInTables(path)).toBe(0);
      const report = await prefault([{ address, byteLength }], options);
      expect(report).toMatchObject({
        ran: true,
        strategy: "populate",
        bytes: BYTES,
        regions: 1,
        residentBytesBefore: 0,
        untouchedBytes: BYTES,
        failures: [],
        files: [],
      });
      expect(report.error).toBeUndefined();
      expect(report.residentBytesAfter).toBeGreaterThan(mostOf(BYTES));
      expect(mappedInTables(path)).toBeGreaterThan(mostOf(BYTES));
    });

    test("is filled where the regions say, and not beside them", looksAtPageCache, async () => {
      const { path, address } = await mapped("part");
      await prefault([{ address: address + BigInt(32 * MIB), byteLength: MIB }], options);
      expect(mappedInTables(path)).toBeGreaterThanOrEqual(MIB);
      // The system reads ahead of what it is asked for, and maps around it.
      expect(mappedInTables(path)).toBeLessThan(16 * MIB);
      const at = (offset: number) => residency([{ path, offset, byteLength: MIB }]);
      expectNearly((await at(32 * MIB)).residentBytes, MIB);
      expect((await at(8 * MIB)).residentBytes).toBe(0);
    });

    test("need not be aligned: the pages it touches are filled", looksAtPageCache, async () => {
      const { path, address } = await mapped("unaligned");
      const last = { address: address + BigInt(BYTES - 2 * PAGE - 10), byteLength: 20 };
      const report = await prefault([last], options);
      expect(report).toMatchObject({ bytes: 20, regions: 1, residentBytesAfter: 2 * PAGE });
      const offset = BYTES - 3 * PAGE;
      const found = await residency([{ path, offset, byteLength: 2 * PAGE }]);
      expect(found.residentBytes).toBe(2 * PAGE);
    });

    test("is ignored where it is null or empty", async () => {
      const { address } = await mapped("null");
      const nothing = [
        { address: 0n, byteLength: 4096 },
        { address, byteLength: 0 },
        { address: 0n, byteLength: 0 },
      ];
      const none = await prefault(nothing, options);
      expect(none).toMatchObject({ ran: false, reason: "no mapped weights", bytes: 0 });
      expect(none.error).toBeUndefined();
      const some = await prefault([...nothing, { address, byteLength: MIB }], options);
      expect(some).toMatchObject({ ran: true, bytes: MIB, regions: 1, failures: [] });
    });

    test("is filled once where regions overlap or touch", looksAtPageCache, async () => {
      const { address } = await mapped("overlapping");
      const at = (offset: number, byteLength: number) => {
        return { address: address + BigInt(offset), byteLength };
      };
      const regions = [at(3 * MIB, 2 * MIB), at(MIB, MIB), at(2 * MIB, 2 * MIB), at(MIB, 10)];
      const report = await prefault(regions, options);
      expect(report).toMatchObject({ bytes: 4 * MIB, regions: 1 });
      expectNearly(report.residentBytesAfter, 4 * MIB);
    });

    test("is an error in the report where it is not mapped", async () => {
      const report = await prefault([NOTHING], options);
      expect(report.error).toMatchObject({ code: "PREFAULT_READ_FAILED", errno: "ENOMEM" });
      expect(report.reason).toContain("0x100000");
      expect(report.residentBytesBefore).toBeNull();
      await expect(prefault([NOTHING], { ...options, onError: "throw" })).rejects.toMatchObject({
        code: "PREFAULT_READ_FAILED",
      });
    });

    test("does not keep what is mapped from being filled", looksAtPageCache, async () => {
      const good = await mapped("good");
      const report = await prefault([NOTHING, good], { ...options, onError: "continue" });
      expect(report.error).toMatchObject({ code: "PREFAULT_READ_FAILED" });
      expect(report.failures.length).toBeGreaterThan(0);
      expect(mappedInTables(good.path)).toBeGreaterThan(mostOf(BYTES));
    });

    test.each([
      ["a negative address", { address: -4096n, byteLength: 4096 }],
      ["more bytes than there are addresses", { address: 4096n, byteLength: Number.MAX_VALUE }],
      ["half a byte", { address: 4096n, byteLength: 0.5 }],
    ])("cannot have %s", async (_, region) => {
      const report = await prefault([region], options);
      expect(report.error).toMatchObject({ code: "PREFAULT_INVALID_OPTION" });
    });

    test("is an error, and no death, where its file was cut short", async () => {
      const path = writeDataFile(join(folder, "truncated"), BYTES);
      expect(await runFixture("truncated-mapping.ts", [path])).toMatchObject({
        ran: true,
        code: "PREFAULT_READ_FAILED",
        errno: "EFAULT",
      });
    });

    test("is left alone when the kill switch says so", async () => {
      const { path, address, byteLength } = await mapped("disabled");
      process.env["NO_ADDRESSES"] = "0";
      onTestFinished(() => {
        delete process.env["NO_ADDRESSES"];
      });
      const region = { address, byteLength };
      const report = await prefault([region], { ...options, killSwitch: "NO_ADDRESSES" });
      expect(report).toMatchObject({ ran: false, reason: "disabled (NO_ADDRESSES=0)" });
      expect(mappedInTables(path)).toBe(0);
    });

    test("stops being filled when the signal fires", async () => {
      const { address, byteLength } = await mapped("aborted");
      const controller = new AbortController();
      const sweep = prefault([{ address, byteLength }], {
        ...options,
        signal: controller.signal,
        onProgress: () => controller.abort(),
        chunkBytes: 65_536,
        workers: 1,
      });
      setTimeout(() => controller.abort(), 1);
      expect((await sweep).error).toMatchObject({ code: "PREFAULT_ABORTED" });
    });

    describe("of a file", () => {
      test("is found with what it shows of the file", async () => {
        const { path, address, byteLength } = await mapped("found", 2 * MIB);
        expect(await findMappings(path)).toEqual([{ address, byteLength, offset: 2 * MIB }]);
      });

      test("is found by another name of the file", async () => {
        const { path, address } = await mapped("named");
        const link = join(folder, "link");
        symlinkSync(path, link);
        expect((await findMappings(link)).map((found) => found.address)).toEqual([address]);
      });

      test("is found each time it is mapped, by address", async () => {
        const { path, address } = await mapped("several");
        const others = [0, 1].map(() => mapForeign(path, MIB, MIB));
        onTestFinished(() => {
          for (const other of others) other.unmap();
        });
        const addresses = (await findMappings(path)).map((found) => found.address);
        const expected = [address, ...others.map((other) => other.address)];
        expect(addresses).toEqual(expected.sort((a, b) => Number(a - b)));
      });

      test("is completed by what was found", looksAtPageCache, async () => {
        const { path } = await mapped("completed");
        const report = await prefault(await findMappings(path), options);
        expect(report).toMatchObject({ ran: true, bytes: BYTES, failures: [] });
        expect(mappedInTables(path)).toBeGreaterThan(mostOf(BYTES));
      });

      test("is nothing where it is not mapped, which is nothing to do", async () => {
        const path = writeDataFile(join(folder, "not-mapped"), MIB);
        expect(await findMappings(path)).toEqual([]);
        const report = await prefault(await findMappings(path), options);
        expect(report).toMatchObject({ ran: false, reason: "no mapped weights" });
      });

      test("cannot be found when there is no file", async () => {
        await expect(findMappings(join(folder, "missing"))).rejects.toMatchObject({
          code: "PREFAULT_NOT_FOUND",
        });
      });
    });
  },
);
