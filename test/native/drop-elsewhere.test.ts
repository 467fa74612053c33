import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ModelPlan, openModel, planPass } from "prefault";
import { beforeAll, describe, expect, test } from "vitest";
import type { SystemMemory } from "../../shims/index.ts";
import { crowds, dropElsewhere } from "../../src/hold/drop-elsewhere.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { PAGE_BYTES, pagesTouched, pageVector } from "../helpers/page-vector.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf, TOLERANCE } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";

describe.skipIf(process.platform !== "linux")("what went to the GPU", () => {
  const path = join(temporaryFolder(), "half.gguf");
  let plan: ModelPlan;
  let fileBytes: number;

  beforeAll(async () => {
    await writeSyntheticModel({ kind: "dense", path, layers: 16, targetBytes: 256 * 1024 ** 2 });
    fileBytes = readFileSync(path).length;
    plan = planPass(await openModel(path), { gpuLayers: 8 });
    await evictAll(path);
  }, 60_000);

  const elsewhere = () => plan.elsewhere.map(({ tensor }) => tensor);
  const onCpu = () => plan.runs.flatMap(({ regions }) => regions.map(({ tensor }) => tensor));
  const headerBytes = () => Math.min(...plan.model.tensors.map(({ offset }) => offset));
  const bytesOf = (tensors: readonly { readonly byteLength: number }[]) =>
    tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);

  test("is dropped by whole pages, and nothing beside it is", looksAtPageCache, async () => {
    readFileSync(path);
    const said: string[] = [];
    const dropped = await dropElsewhere([plan], (line) => said.push(line));

    const resident = pageVector(path);
    const count = (pages: Uint8Array) => pages.reduce((sum, page) => sum + page, 0);
    const stayed = (pages: Uint8Array) =>
      count(pages.map((is, page) => is & (resident[page] ?? 0)));
    const others = pagesTouched(fileBytes, [{ offset: 0, byteLength: headerBytes() }, ...onCpu()]);
    expect(stayed(others)).toBeGreaterThan(mostOf(count(others)));
    // A large folio that reaches from the one to the other stays.
    const gone = pagesTouched(fileBytes, elsewhere()).map((is, page) => is & ~(others[page] ?? 0));
    expect(stayed(gone)).toBeLessThan(TOLERANCE * count(gone));
    expect(dropped).toBeGreaterThan(mostOf(count(gone) * PAGE_BYTES));
    expect(dropped).toBeLessThanOrEqual(count(gone) * PAGE_BYTES);
    expect(said).toEqual([
      expect.stringMatching(/^prefault: \d{3}\.\d MiB that are on the GPU were dropped/),
    ]);
  });

  test("is in the way when it does not fit beside the rest, and only then", () => {
    const whole = bytesOf(elsewhere()) + bytesOf(onCpu());
    // The gate allows 80 % of what is available.
    const withMemory = (bytes: number, canEvict = true) => ({
      canEvict,
      memory: (): SystemMemory => ({ totalBytes: 2 * bytes, availableBytes: bytes }),
    });
    expect(crowds([plan], withMemory(1.3 * whole))).toBe(false);
    expect(crowds([plan], withMemory(1.2 * whole))).toBe(true);
    expect(crowds([plan, plan], withMemory(1.3 * whole))).toBe(true);
    expect(crowds([{ ...plan, elsewhere: [] }], withMemory(0.1 * whole))).toBe(false);
    // Where it cannot be dropped there is nothing to wait for.
    expect(crowds([plan], withMemory(1.2 * whole, false))).toBe(false);
  });
});
