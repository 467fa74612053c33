import { stat } from "node:fs/promises";
import { join } from "node:path";
import { evict, type MappedModel, mapModel } from "prefault";
import { describe, expect, test } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { mappedInTables } from "../helpers/private-memory.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";

const MIB = 1024 ** 2;

const { canPlace } = await loadShim();
const quiet = { log() {} };

// What is mapped, and what is left of it, is read from /proc.
describe.skipIf(process.platform !== "linux" || !canPlace)("a mapped model", () => {
  const folder = temporaryFolder();

  async function small(name: string): Promise<string> {
    const path = join(folder, `${name}.gguf`);
    await writeSyntheticModel({ kind: "dense", path, targetBytes: 16 * MIB });
    return path;
  }

  test("keeps its own hands off the caller's part of a memory during a sweep", async () => {
    const path = await small("scratch");
    await evict(path);
    await using model = await mapModel(path);
    const { memory, scratch } = model.arena("token_embd.weight");
    const bytes = new Uint8Array(memory.buffer, scratch.address, scratch.byteLength);
    bytes.fill(0x5a);
    const report = await model.prefault({ ...quiet, chunkBytes: 65_536 });
    expect(report).toMatchObject({ ran: true, failures: [] });
    expect(bytes.every((byte) => byte === 0x5a)).toBe(true);
    const places = model.tensorNames.map((name) => model.arena(name).address);
    expect(Math.min(...places)).toBeGreaterThanOrEqual(scratch.address + scratch.byteLength);
  });

  test(
    "is swept in place: a reader finds every page in the page tables",
    looksAtPageCache,
    async () => {
      const path = join(folder, "tables.gguf");
      await writeSyntheticModel({ kind: "dense", path, targetBytes: 128 * MIB });
      await evict(path);
      await using swept = await mapModel(path);
      const report = await swept.prefault(quiet);
      expect(report).toMatchObject({ ran: true, failures: [] });
      expect(report.residentBytesAfter ?? 0).toBeGreaterThan(mostOf(report.bytes));
      const { size } = await stat(path);
      expect(mappedInTables(path)).toBeGreaterThan(mostOf(size));
      const inPlace = faultsOfReading(swept);
      await swept.close();

      // The page cache is as warm for this one, and its page tables are empty.
      await using other = await mapModel(path);
      expect(mappedInTables(path)).toBeLessThan(0.02 * size);
      expect(faultsOfReading(other)).toBeGreaterThan(2 * inPlace + 32);
      expect(inPlace).toBeLessThan(64);
    },
  );

  function faultsOfReading(model: MappedModel): number {
    const views = model.tensorNames.flatMap((name) => model.tensor(name).views);
    let sum = 0;
    const before = process.resourceUsage().minorPageFault;
    for (const view of views) for (let at = 0; at < view.length; at += 4096) sum += view[at] ?? 0;
    const faults = process.resourceUsage().minorPageFault - before;
    expect(sum).toBeGreaterThan(0);
    return faults;
  }
});
