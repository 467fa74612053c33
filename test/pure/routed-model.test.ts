import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { expertSlices } from "../../bench/engine/expert-slices.ts";
import { openModel } from "../../src/model/open-model.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { writeRoutedModel } from "../models/routed-model.ts";

const SHAPE = { layers: 2, experts: 16, expertsUsed: 4, hidden: 256, expertFeedForward: 64 };

async function bytesOf(path: string, name: string): Promise<Buffer> {
  const tensor = (await openModel(path)).tensors.find((each) => each.name === name);
  if (tensor === undefined) throw new Error(`no ${name}`);
  const handle = await open(path);
  const bytes = Buffer.alloc(tensor.byteLength);
  await handle.read(bytes, 0, bytes.byteLength, tensor.offset);
  await handle.close();
  return bytes;
}

/** Root mean square of each of the router's rows. */
async function rowLengths(path: string): Promise<number[]> {
  const bytes = await bytesOf(path, "blk.0.ffn_gate_inp.weight");
  const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return Array.from({ length: SHAPE.experts }, (_, expert) => {
    const row = all.subarray(expert * SHAPE.hidden, (expert + 1) * SHAPE.hidden);
    return Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length);
  });
}

function spread(lengths: readonly number[]): number {
  return Math.max(...lengths) / Math.min(...lengths);
}

describe("a model that routes", () => {
  const folder = temporaryFolder();

  it("is a model with slices of experts, filled to its end", async () => {
    const path = join(folder, "routed.gguf");
    await writeRoutedModel({ path, ...SHAPE });
    const { layers, core } = expertSlices(await openModel(path));
    expect(layers.map(({ experts }) => experts.length)).toEqual([16, 16]);
    expect(core.length).toBeGreaterThan(0);
    expect((await bytesOf(path, "output.weight")).subarray(-64).some((byte) => byte !== 0)).toBe(
      true,
    );
  });

  it("has block scales of either sign", async () => {
    const path = join(folder, "signs.gguf");
    await writeRoutedModel({ path, ...SHAPE });
    const bytes = await bytesOf(path, "blk.1.ffn_up_exps.weight");
    let negative = 0;
    const blocks = bytes.byteLength / 22; // Q5_0, whose scale comes first
    for (let block = 0; block < blocks; block++) {
      if ((bytes.readUInt16LE(block * 22) & 0x8000) !== 0) negative++;
    }
    expect(negative / blocks).toBeGreaterThan(0.4);
    expect(negative / blocks).toBeLessThan(0.6);
  });

  it("has router rows of different lengths as far as it is asked to", async () => {
    const even = join(folder, "even.gguf");
    const skewed = join(folder, "skewed.gguf");
    await writeRoutedModel({ path: even, ...SHAPE, routerSkew: 0 });
    await writeRoutedModel({ path: skewed, ...SHAPE, routerSkew: 0.5 });
    expect(spread(await rowLengths(even))).toBeLessThan(1.6);
    expect(spread(await rowLengths(skewed))).toBeGreaterThan(3);
  });

  it("comes close to the bytes it is asked for", async () => {
    const path = join(folder, "sized.gguf");
    await writeRoutedModel({ path, ...SHAPE, targetBytes: 12 * 2 ** 20 });
    const { files } = await openModel(path);
    expect((files[0]?.byteLength ?? 0) / 2 ** 20).toBeCloseTo(12, -0.5);
  });
});
