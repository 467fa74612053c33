import { type FileHandle, open, stat } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { readImatrix } from "../../../src/experts/imatrix.ts";
import { readRanges } from "../../../src/experts/read-ranges.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";
import { writeImatrix } from "../../models/imatrix.ts";

/** A file of bytes that say where they stand, and what was read of it. */
function fakeFile(byteLength: number) {
  const reads: { offset: number; byteLength: number }[] = [];
  const handle = {
    read(buffer: Uint8Array, at: number, length: number, position: number) {
      reads.push({ offset: position, byteLength: length });
      const bytesRead = Math.max(0, Math.min(length, byteLength - position));
      for (let i = 0; i < bytesRead; i++) buffer[at + i] = byteAt(position + i);
      return Promise.resolve({ bytesRead, buffer });
    },
  } as unknown as FileHandle;
  return { handle, reads };
}

const byteAt = (offset: number) => (offset * 7 + Math.floor(offset / 256)) % 256;

describe("ranges of a file", () => {
  test("are read byte by byte as they are, in any order, and past the end not at all", async () => {
    const range = fc.record({
      offset: fc.nat(300_000),
      byteLength: fc.integer({ min: 1, max: 5000 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(range, { maxLength: 20 }), async (ranges) => {
        const found = await readRanges(fakeFile(250_000).handle, ranges);
        for (const [index, { offset, byteLength }] of ranges.entries()) {
          const bytes = found[index];
          expect(bytes?.length).toBe(offset + byteLength > 250_000 ? undefined : byteLength);
          expect(bytes?.every((byte, at) => byte === byteAt(offset + at)) ?? true).toBe(true);
        }
      }),
    );
  });

  test("are read in one go when they are close, and apart when they are not", async () => {
    const { handle, reads } = fakeFile(10_000_000);
    await readRanges(handle, [
      { offset: 5_000_000, byteLength: 100 },
      { offset: 0, byteLength: 100 },
      { offset: 9000, byteLength: 100 },
    ]);
    expect(reads).toEqual([
      { offset: 0, byteLength: 9100 },
      { offset: 5_000_000, byteLength: 100 },
    ]);
  });

  test("are not joined without end", async () => {
    const { handle, reads } = fakeFile(20_000_000);
    const ranges = Array.from({ length: 1000 }, (_, at) => ({
      offset: at * 16_000,
      byteLength: 4000,
    }));
    await readRanges(handle, ranges);
    expect(Math.max(...reads.map(({ byteLength }) => byteLength))).toBeLessThanOrEqual(2 ** 20);
  });
});

test("of a large imatrix little is read", async () => {
  const path = join(temporaryFolder(), "large.gguf");
  const tensors = Array.from({ length: 60 }, (_, block) =>
    ["gate", "up", "down"].map((part) => ({
      name: `blk.${block}.ffn_${part}_exps.weight`,
      inputs: part === "down" ? 768 : 1152,
      counts: Array.from({ length: 256 }, (_, expert) => expert + block),
    })),
  ).flat();
  await writeImatrix({ path, tensors });
  const { size } = await stat(path);
  expect(size).toBeGreaterThan(180e6);
  const file = await open(path);
  onTestFinished(() => file.close());
  let bytes = 0;
  const handle = {
    read: async (...given: Parameters<FileHandle["read"]>) => {
      const result = await file.read(...given);
      bytes += result.bytesRead;
      return result;
    },
  } as unknown as FileHandle;
  const profile = await readImatrix(handle, path, size, undefined);
  expect(profile).toMatchObject({ layers: 60, experts: 256 });
  expect(profile.weights[59]?.[255]).toBe(255 + 59);
  expect(bytes).toBeLessThan(2 ** 20);
});
