import { truncateSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import {
  evict,
  type FileRegion,
  type ModelPlan,
  openModel,
  type PrefaultOptions,
  planPass,
  type ReadyPart,
  residency,
  startPrefault,
} from "prefault";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { writeSyntheticSafetensors } from "../models/synthetic-safetensors.ts";

const MIB = 1024 ** 2;
const options: PrefaultOptions = { gate: "always", log() {} };
/** Slow and in order, so that what comes late can be seen to come late. */
const oneByOne: PrefaultOptions = { ...options, workers: 1, chunkBytes: MIB };

describe("a session", () => {
  const folder = temporaryFolder();
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  /** Where files can be evicted; elsewhere the sweep is of a warm one. */
  async function cool(path: string): Promise<void> {
    if (process.platform === "linux") await evict(path);
  }

  async function model(name: string, targetBytes = 32 * MIB): Promise<string> {
    const path = join(folder, `${name}.gguf`);
    await writeSyntheticModel({ kind: "dense", path, layers: 4, targetBytes });
    await cool(path);
    return path;
  }

  /** Layers from the last to the first, as no model is written: the file's order is the wrong one. */
  async function backwards(name: string) {
    const path = writeDataFile(join(folder, name), 160 * MIB);
    await cool(path);
    const names = ["blk.3.w", "blk.2.w", "blk.1.w", "blk.0.w", "token_embd.weight"];
    const regions = names.map((tensor, index): FileRegion => {
      return { path, offset: index * 32 * MIB, byteLength: 32 * MIB, tensor };
    });
    return {
      regions,
      residentBytes: async (index: number) => {
        const region = regions[index];
        return region === undefined ? null : (await residency([region])).residentBytes;
      },
    };
  }

  async function all(parts: AsyncIterable<ReadyPart>): Promise<ReadyPart[]> {
    const seen: ReadyPart[] = [];
    for await (const part of parts) seen.push(part);
    return seen;
  }

  const LAYERS = ["blk.0", "blk.1", "blk.2", "blk.3"];
  const PARTS = ["token_embd", ...LAYERS, "output_norm", "output"];
  const resident = (names: readonly string[]) => names.map((name) => ({ name, resident: true }));

  test("yields the parts of a model in the order inference needs them", async () => {
    const session = startPrefault(await model("ordered"), oneByOne);
    expect(await all(session)).toEqual(resident(PARTS));
    expect(await session.report).toMatchObject({ ran: true, failures: [] });
  });

  test("can be iterated again, and by several at once", async () => {
    const session = startPrefault(await model("again"), options);
    const [first, second] = await Promise.all([all(session), all(session)]);
    expect(first).toEqual(resident(PARTS));
    expect(second).toEqual(first);
    await session.report;
    expect(await all(session)).toEqual(first);
  });

  test.skipIf(process.platform !== "linux")(
    "fills what is needed first first, wherever it lies in the file",
    looksAtPageCache,
    async () => {
      const { regions, residentBytes } = await backwards("backwards");
      const controller = new AbortController();
      // Touched page by page: populating begins before the worker does, and may be done by then.
      const how = { ...oneByOne, strategy: "touch", signal: controller.signal } as const;
      const session = startPrefault(regions, how);
      expect(await session.ready("token_embd")).toBe(true);
      expect(await session.ready(0)).toBe(true);
      // Holds still what is there at this moment.
      controller.abort();
      expect((await session.report).error).toMatchObject({ code: "PREFAULT_ABORTED" });
      expect(await residentBytes(4)).toBeGreaterThan(mostOf(32 * MIB));
      expect(await residentBytes(3)).toBeGreaterThan(mostOf(32 * MIB));
      expect(await residentBytes(0)).toBeLessThan(16 * MIB);
      expect(await session.ready("blk.0")).toBe(true);
      expect(await session.ready("blk.3")).toBe(false);
      expect((await all(session)).map(({ resident: is }) => is).slice(0, 2)).toEqual([true, true]);
      expect((await all(session)).at(-1)).toEqual({ name: "blk.3", resident: false });
    },
  );

  test("says of a part that it is resident while the rest is still being read", async () => {
    const { regions } = await backwards("early");
    const session = startPrefault(regions, oneByOne);
    let over = false;
    session.report.then(() => {
      over = true;
    });
    expect(await session.ready(0)).toBe(true);
    expect(over).toBe(false);
    await session.report;
  });

  test("says so by number, by name and by tensor", async () => {
    const session = startPrefault(await model("named"), options);
    const asked = [0, 3, "blk.2", "output", "blk.1.ffn_down.weight", "token_embd.weight"];
    const answers = await Promise.all(asked.map((part) => session.ready(part)));
    expect(answers).toEqual(asked.map(() => true));
  });

  test("knows the layers of a safetensors model", async () => {
    const path = join(folder, "model.safetensors");
    await writeSyntheticSafetensors({ path, layers: 2 });
    const session = startPrefault(path, options);
    const names = ["model.embed_tokens", "blk.0", "blk.1", "model.norm", "lm_head"];
    expect(await all(session)).toEqual(resident(names));
    expect(await session.ready("model.layers.1.mlp.up_proj.weight")).toBe(true);
  });

  test("takes any file, which is one part under its name", async () => {
    const path = writeDataFile(join(folder, "plain"), MIB);
    expect(await all(startPrefault(path, options))).toEqual(resident(["plain"]));
    expect(await all(startPrefault([{ path }], options))).toEqual(resident([path]));
  });

  test("follows a plan, and knows only what the plan lists", async () => {
    const path = await model("planned");
    const plan = planPass(await openModel(path), { gpuLayers: 3 });
    const session = startPrefault(plan, options);
    expect(await all(session)).toEqual(resident(["token_embd", "blk.0", "blk.1"]));
    await expect(session.ready("blk.3")).rejects.toMatchObject({ code: "PREFAULT_UNKNOWN_TENSOR" });
  });

  test.each(["no.such.tensor", 17])("does not know the part %s", async (part) => {
    const session = startPrefault(await model(`unknown-${part}`, 8 * MIB), options);
    await expect(session.ready(part)).rejects.toMatchObject({ code: "PREFAULT_UNKNOWN_TENSOR" });
    await session.report;
  });

  test("has nothing resident when the kill switch says no", async () => {
    vi.stubEnv("SHARPI_PREFAULT", "0");
    const session = startPrefault(await model("disabled"), options);
    expect(await session.ready(0)).toBe(false);
    expect(await all(session)).toEqual([]);
    expect(await session.report).toMatchObject({ ran: false });
  });

  test("has nothing resident when the gate says no", async () => {
    const path = join(folder, "hole");
    const handle = await open(path, "w");
    await handle.truncate(2 ** 43);
    await handle.close();
    const regions = [{ path, tensor: "blk.0.w" }];
    const session = startPrefault(regions, { ...options, gate: "fits-in-ram" });
    expect(await session.ready(0)).toBe(false);
    expect(await all(session)).toEqual([{ name: "blk.0", resident: false }]);
    const report = await session.report;
    expect(report).toMatchObject({ ran: false });
    expect(report.reason).toMatch(/^skipped/);
  });

  test("has nothing resident when it was aborted before it began", async () => {
    const signal = AbortSignal.abort();
    const session = startPrefault(await model("aborted"), { ...options, signal });
    expect(await session.ready("blk.0")).toBe(false);
    expect((await session.report).error).toMatchObject({ code: "PREFAULT_ABORTED" });
  });

  describe("with several runs", () => {
    /** Blocks 0 and 1 first, then the rest: as a pass does whose experts have a gate of their own. */
    async function twoRuns(name: string): Promise<ModelPlan> {
      const plan = planPass(await openModel(await model(name)));
      const run = plan.runs[0];
      if (run === undefined) throw new Error("no run");
      const early = (tensor: string) => /^(token_embd|blk\.[01])\b/.test(tensor);
      const part = (label: string, first: boolean) => ({
        ...run,
        label,
        regions: run.regions.filter(({ tensor }) => early(tensor.name) === first),
      });
      return { ...plan, runs: [part("early", true), part("late", false)] };
    }

    test("follows them one after the other", async () => {
      const session = startPrefault(await twoRuns("two"), options);
      expect(await all(session)).toEqual(resident(PARTS));
      const report = await session.report;
      expect(report.runs?.map(({ label, ran }) => [label, ran])).toEqual([
        ["early", true],
        ["late", true],
      ]);
    });

    test("answers for a run that never began, because one before it failed", async () => {
      const plan = await twoRuns("failing");
      const path = plan.model.files[0]?.path ?? "";
      truncateSync(path, 4096);
      const session = startPrefault(plan, options);
      const parts = await all(session);
      expect(parts.map(({ name }) => name)).toEqual(PARTS);
      expect(parts.every((part) => !part.resident)).toBe(true);
      expect((await session.report).error).toBeDefined();
    });
  });

  test("answers when the file is not there", async () => {
    const session = startPrefault([{ path: join(folder, "missing"), tensor: "blk.0.w" }], options);
    expect(await session.ready(0)).toBe(false);
    expect((await session.report).error).toMatchObject({ code: "PREFAULT_NOT_FOUND" });
  });

  test("fails its report when asked to, and nothing else is left unhandled", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on("unhandledRejection", note);
    onTestFinished(() => void process.off("unhandledRejection", note));
    const missing = [{ path: join(folder, "missing"), tensor: "blk.0.w" }];
    const session = startPrefault(missing, { ...options, onError: "throw" });
    expect(await session.ready(0)).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(unhandled).toEqual([]);
    await expect(session.report).rejects.toMatchObject({ code: "PREFAULT_NOT_FOUND" });
  });
});
