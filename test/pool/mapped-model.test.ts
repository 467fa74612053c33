import { once } from "node:events";
import { type FileHandle, open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { type MappedModel, mapModel, openModel, planPass } from "prefault";
import { describe, expect, onTestFinished, test } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { compileDotKernel, dotRows } from "../fixtures/dot-kernel.ts";
import { privateBytes } from "../helpers/private-memory.ts";
import { mappingsOf } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { type ModelKind, writeSyntheticModel } from "../models/synthetic-model.ts";
import { writeSyntheticSafetensors } from "../models/synthetic-safetensors.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

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

  async function expectEveryByte(model: MappedModel): Promise<void> {
    expect(model.tensorNames.length).toBeGreaterThan(0);
    const files = await Promise.all(model.model.files.map(({ path }) => readFile(path)));
    for (const { name, file, offset, byteLength, dtype, shape } of model.model.tensors) {
      const mapped = model.tensor(name);
      expect(mapped).toMatchObject({ dtype, shape, byteLength });
      const bytes = Buffer.concat(mapped.views);
      const original = files[file]?.subarray(offset, offset + byteLength);
      expect(original?.equals(bytes), name).toBe(true);
    }
  }

  test.each<ModelKind>([
    "dense",
    "dense-tied",
    "moe",
    "moe-shared",
    "gdn",
    "gdn-moe",
    "per-layer-embeddings",
  ])("shows every tensor of a %s model as it is in the file", async (kind) => {
    const path = join(folder, `${kind}.gguf`);
    await writeSyntheticModel({ kind, path });
    await using model = await mapModel(path);
    await expectEveryByte(model);
  });

  test("shows every tensor of a split model", async () => {
    const path = join(folder, "split.gguf");
    const { paths } = await writeSyntheticModel({ kind: "moe", path, shards: 3 });
    await using model = await mapModel(paths[1] ?? "");
    expect(model.model.files).toHaveLength(3);
    await expectEveryByte(model);
  });

  test("shows every tensor of a split safetensors model", async () => {
    const path = join(folder, "model.safetensors");
    const { indexPath } = await writeSyntheticSafetensors({ path, shards: 2 });
    await using model = await mapModel(indexPath ?? "");
    await expectEveryByte(model);
  });

  test("shows the same bytes when they are copied", async () => {
    const path = join(folder, "copied.gguf");
    const { paths } = await writeSyntheticModel({ kind: "moe", path, shards: 2 });
    await using model = await mapModel(paths[0] ?? "", { copy: true });
    await expectEveryByte(model);
    for (const file of paths) expect(mappingsOf(file)).toEqual([]);
    const report = await model.prefault(quiet);
    expect(report).toMatchObject({ ran: false, reason: "copied into memory when it was opened" });
    const [view] = model.tensor("token_embd.weight").views;
    await model.close();
    expect(view?.every((byte) => byte === 0)).toBe(true);
  });

  describe("larger than a memory", () => {
    test("shows a tensor of more than 4 GiB as consecutive views", async () => {
      const path = join(folder, "huge.gguf");
      const shape = { kind: "dense", layers: 1, contents: "hole" } as const;
      await writeSyntheticModel({ ...shape, path, targetBytes: 15 * GIB });
      const { tensors } = await openModel(path);
      const large = tensors.filter((tensor) => tensor.byteLength > 4 * GIB);
      expect(large.length).toBeGreaterThan(0);
      const handle = await open(path, "r+");
      onTestFinished(() => handle.close());
      const marks = await mark(handle, large, 97);

      await using model = await mapModel(path);
      for (const tensor of large) {
        const { views } = model.tensor(tensor.name);
        expect(views.length).toBeGreaterThan(1);
        expect(views.reduce((sum, view) => sum + view.byteLength, 0)).toBe(tensor.byteLength);
        for (const at of marks)
          expect(byteOf(views, at(tensor.byteLength)), tensor.name).not.toBe(0);
        const last = (views[0]?.byteLength ?? 0) - 1;
        await handle.write(Uint8Array.of(201, 202), 0, 2, tensor.offset + last);
        expect([byteOf(views, last), byteOf(views, last + 1)]).toEqual([201, 202]);
        expect(() => model.arena(tensor.name)).toThrow(
          expect.objectContaining({ code: "PREFAULT_UNSUPPORTED" }),
        );
        expect(model.arenas(tensor.name)).toHaveLength(views.length);
      }
    });

    test("shows each tensor that fits a memory as one view", async () => {
      const path = join(folder, "many.gguf");
      const shape = { kind: "moe", layers: 6, contents: "hole" } as const;
      await writeSyntheticModel({ ...shape, path, targetBytes: 14 * GIB });
      const { tensors } = await openModel(path);
      const handle = await open(path, "r+");
      onTestFinished(() => handle.close());
      const marks = await mark(handle, tensors, 1);

      await using model = await mapModel(path);
      const memories = new Set(tensors.flatMap(({ name }) => model.arena(name).memory));
      expect(memories.size).toBeGreaterThanOrEqual(4);
      for (const { name, byteLength } of tensors) {
        const { views } = model.tensor(name);
        expect(views.map((view) => view.byteLength)).toEqual([byteLength]);
        const shown = marks.map((at) => byteOf(views, at(byteLength)));
        expect(shown, name).toEqual(marks.map((_, index) => markOf(name, index)));
      }
    });

    const markOf = (name: string, index: number) =>
      1 + ((Buffer.from(name).reduce((sum, byte) => sum * 31 + byte, index) >>> 0) % 255);

    /** A byte at the beginning, at the end and in the middle of each tensor. */
    async function mark(
      handle: FileHandle,
      tensors: readonly { name: string; offset: number; byteLength: number }[],
      parts: number,
    ) {
      const inner = Array.from({ length: parts }, (_, part) => (part + 1) / (parts + 1));
      const marks = [
        () => 0,
        ...inner.map((share) => (length: number) => Math.floor(share * length)),
        (length: number) => length - 1,
      ];
      for (const { name, offset, byteLength } of tensors) {
        for (const [index, at] of marks.entries()) {
          const value = Uint8Array.of(markOf(name, index));
          await handle.write(value, 0, 1, offset + at(byteLength));
        }
      }
      return marks;
    }

    function byteOf(views: readonly Uint8Array[], at: number): number | undefined {
      let left = at;
      for (const view of views) {
        if (left < view.byteLength) return view[left];
        left -= view.byteLength;
      }
      return undefined;
    }
  });

  test("keeps a store to itself", async () => {
    const path = await small("stored");
    const original = await readFile(path);
    const { mtimeMs } = await stat(path);
    await using first = await mapModel(path);
    await using second = await mapModel(path);
    for (const name of first.tensorNames) for (const view of first.tensor(name).views) view.fill(7);
    await first.prefault(quiet);
    expect(first.tensor("token_embd.weight").views[0]?.every((byte) => byte === 7)).toBe(true);
    await expectEveryByte(second);
    await first.close();
    expect((await readFile(path)).equals(original)).toBe(true);
    expect((await stat(path)).mtimeMs).toBe(mtimeMs);
  });

  test("lets a kernel of the caller's compute on a tensor in place, from two workers", async () => {
    const path = join(folder, "f32.gguf");
    const weights = { weightDtype: "F32", layers: 1, feedForward: 16_384, hidden: 1024 } as const;
    await writeSyntheticModel({ kind: "dense", path, ...weights });
    await using model = await mapModel(path);
    await model.prefault(quiet);
    const name = "blk.0.ffn_up.weight";
    const { byteLength, shape } = model.tensor(name);
    const [columns = 0, rows = 0] = shape;
    expect(byteLength).toBe(64 * MIB);
    const { memory, address: matrix, scratch } = model.arena(name);
    const vector = scratch.address;
    const out = vector + 4 * columns;
    expect(4 * (columns + rows)).toBeLessThan(scratch.byteLength);
    const input = new Float32Array(memory.buffer, vector, columns);
    for (let index = 0; index < columns; index++) input[index] = Math.sin(index);
    const module = await compileDotKernel();

    const before = privateBytes();
    const url = new URL("../fixtures/dot-worker.mjs", import.meta.url);
    const workers = [0, 1].map(() => new Worker(url, { workerData: { module, memory } }));
    onTestFinished(async () => {
      for (const worker of workers) await worker.terminate();
    });
    await Promise.all(
      workers.map((worker, half) => {
        const [from, to] = [(half * rows) / 2, ((half + 1) * rows) / 2];
        worker.postMessage({ matrix, columns, from, to, vector, out });
        return once(worker, "message");
      }),
    );
    // Two threads and their heaps are in here, 30 to 40 MiB; a copy of the tensor would come on top.
    expect(privateBytes() - before).toBeLessThan(byteLength);

    const { offset } = model.model.tensors.find((tensor) => tensor.name === name) ?? { offset: 0 };
    const bytes = new Uint8Array(byteLength);
    bytes.set((await readFile(path)).subarray(offset, offset + byteLength));
    const expected = dotRows(new Float32Array(bytes.buffer), input.slice());
    expect(expected.some((value) => value !== 0)).toBe(true);
    expect(new Float32Array(memory.buffer, out, rows).slice()).toEqual(expected);
  });

  test("maps what a placement leaves on the CPU, and nothing else", async () => {
    const path = await small("placed");
    const placement = { gpuLayers: 2 };
    const { runs } = planPass(await openModel(path), placement);
    const planned = runs.flatMap((run) => run.regions.map(({ tensor }) => tensor.name));
    await using model = await mapModel(path, placement);
    expect([...model.tensorNames].sort()).toEqual([...planned].sort());
    const elsewhere = model.model.tensors.filter(({ name }) => !planned.includes(name));
    expect(elsewhere.length).toBeGreaterThan(0);
    for (const { name } of elsewhere) {
      expect(() => model.tensor(name)).toThrow(
        expect.objectContaining({ code: "PREFAULT_UNKNOWN_TENSOR" }),
      );
    }
    const report = await model.prefault(quiet);
    const bytes = planned.map((name) => model.tensor(name).byteLength);
    expect(report.bytes).toBe(bytes.reduce((sum, each) => sum + each));
  });

  test("does not know a tensor that the model does not have", async () => {
    await using model = await mapModel(await small("unknown"));
    for (const ask of [() => model.tensor("no.such"), () => model.arena("no.such")]) {
      expect(ask).toThrow(expect.objectContaining({ code: "PREFAULT_UNKNOWN_TENSOR" }));
    }
  });

  test("tells of a failed sweep in the report, and stays of use", async () => {
    const path = await small("failing");
    await using model = await mapModel(path);
    const aborted = await model.prefault({ ...quiet, signal: AbortSignal.abort() });
    expect(aborted.error).toMatchObject({ code: "PREFAULT_ABORTED" });
    const invalid = await model.prefault({ ...quiet, workers: 0 });
    expect(invalid.error).toMatchObject({ code: "PREFAULT_INVALID_OPTION" });
    await expect(model.prefault({ ...quiet, workers: 0, onError: "throw" })).rejects.toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
    });
    expect(await model.prefault(quiet)).toMatchObject({ ran: true, failures: [] });
    await expectEveryByte(model);
  });
});
