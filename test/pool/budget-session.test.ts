import { join } from "node:path";
import { openModel, type PrefaultOptions, type ReadyPart, startPrefault } from "prefault";
import { describe, expect, test } from "vitest";
import { type BudgetModel, writeBudgetModel } from "../helpers/budget-model.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;
const quiet: PrefaultOptions = { gate: "always", log: () => {} };

describe("a session with a budget", () => {
  const folder = temporaryFolder();

  async function model(name: string, shape: Parameters<typeof writeBudgetModel>[1]) {
    return writeBudgetModel(join(folder, `${name}.gguf`), shape);
  }

  async function partly(of: BudgetModel, budget: number) {
    const session = startPrefault(of.path, { ...quiet, budget });
    const parts = new Map<string, boolean>();
    for await (const { name, resident } of session as AsyncIterable<ReadyPart>) {
      parts.set(name, resident);
    }
    const report = await session.report;
    expect(report.error).toBeUndefined();
    expect(report.ran).toBe(true);
    return { session, parts };
  }

  test("fills a part of a split model", async () => {
    const split = await model("split", { layers: 4, shards: 3 });
    const { session, parts } = await partly(split, Math.floor(0.6 * split.bytes));
    expect(parts.get("token_embd")).toBe(true);
    expect(await session.ready("blk.0.attn_q.weight")).toBe(true);
    expect(await session.ready("blk.3.ffn_down_exps.weight")).toBe(false);
  });

  test("does not call a layer resident that was left out", async () => {
    const dense = await model("dense", { kind: "dense", layers: 8 });
    const { session, parts } = await partly(dense, Math.floor(dense.bytes / 2));
    expect(parts.get("token_embd")).toBe(true);
    expect(parts.get("blk.0")).toBe(true);
    expect(parts.get("blk.7")).toBe(false);
    expect(await session.ready(7)).toBe(false);
    await expect(session.ready("blk.8")).rejects.toMatchObject({ code: "PREFAULT_UNKNOWN_TENSOR" });
  });

  test("does not call a layer resident of which experts were left out", async () => {
    const moe = await model("moe", { layers: 4 });
    const { tensors } = await openModel(moe.path);
    const experts = tensors.filter(({ name }) => name.includes("_exps"));
    const core = moe.bytes - experts.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const { session, parts } = await partly(moe, core + 6 * MIB);
    // Without a profile the experts of the first layers come first.
    expect([0, 1, 2, 3].map((layer) => parts.get(`blk.${layer}`))).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(await session.ready("blk.3.attn_q.weight")).toBe(true);
    expect(await session.ready("blk.3.ffn_down_exps.weight")).toBe(false);
  });

  test("has all of a model that fits", async () => {
    const small = await model("small", { layers: 2 });
    const { parts } = await partly(small, 2 * small.bytes);
    expect([...parts.values()].every(Boolean)).toBe(true);
    expect(parts.size).toBeGreaterThan(3);
  });
});
