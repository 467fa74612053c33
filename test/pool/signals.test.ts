import { getEventListeners } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { evict, findMappings, mapModel, prefault, residency, type Target } from "prefault";
import { beforeAll, describe, expect, test } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { descriptorsOf } from "../helpers/open-descriptors.ts";
import { mappingsOf, until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;
const folder = temporaryFolder();
const path = join(folder, "weights.bin");
beforeAll(() => void writeDataFile(path, 16 * MIB));

const close = async (waiting: ReturnType<typeof mapModel>) => (await waiting).close();

const WAITING: readonly [string, (signal: AbortSignal) => Promise<unknown>][] = [
  ["residency", (signal) => residency(path, { signal })],
  ["evict", (signal) => evict(path, { signal })],
  ["findMappings", (signal) => findMappings(path, { signal })],
  ["mapModel", (signal) => close(mapModel(path, { signal }))],
  ["mapModel with copy", (signal) => close(mapModel(path, { copy: true, signal }))],
];

describe.skipIf(process.platform !== "linux").each(WAITING)("%s", (_, start) => {
  const expectNothingLeft = async (signal: AbortSignal) => {
    expect(getEventListeners(signal, "abort")).toEqual([]);
    await until(() => descriptorsOf(folder) === 0, "the descriptors are closed");
    expect(mappingsOf(folder)).toEqual([]);
  };

  test("rejects with a signal that has fired", async () => {
    const reason = new Error("because");
    const signal = AbortSignal.abort(reason);
    await expect(start(signal)).rejects.toMatchObject({ code: "PREFAULT_ABORTED", cause: reason });
    await expectNothingLeft(signal);
  });

  test("rejects or is done whenever it fires, and leaves nothing behind", async () => {
    for (let round = 0; round < 10; round++) {
      const controller = new AbortController();
      const pending = start(controller.signal).then(
        () => "done",
        (error: { code: string }) => error.code,
      );
      if (round > 0) await sleep(round / 2);
      controller.abort();
      expect(["done", "PREFAULT_ABORTED"]).toContain(await pending);
      await expectNothingLeft(controller.signal);
    }
  });

  test("leaves the signal alone when it is done", async () => {
    const { signal } = new AbortController();
    await start(signal);
    await expectNothingLeft(signal);
  });

  test.each([null, {}, "abort", 7n])("refuses a signal that is %s", async (signal) => {
    await expect(start(signal as unknown as AbortSignal)).rejects.toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
      message: expect.stringContaining("signal"),
    });
  });
});

const circular: Record<string, unknown> = {};
circular["self"] = circular;

describe.each<[string, (target: Target) => Promise<unknown>]>([
  ["residency", residency],
  ["evict", evict],
  ["prefault", (target) => prefault(target, { onError: "throw", log() {} })],
])("%s of a target that cannot be", (_, ask) => {
  test.each([
    ["a BigInt", 7n],
    ["a symbol", Symbol("s")],
    ["a circular object", circular],
    ["a model without files", { tensors: 7 }],
    ["a plan without a model", { runs: [] }],
    ["paths and regions", [path, { path }]],
    ["an offset that is a BigInt", [{ path, offset: 1n }]],
    ["a negative offset", [{ path, offset: -1 }]],
    ["an offset that is no number", [{ path, offset: Number.NaN }]],
    ["a negative length", [{ path, byteLength: -1 }]],
    ["half a byte", [{ path, byteLength: 0.5 }]],
    ["text for a length", [{ path, byteLength: "9" }]],
  ])("is a usage error: %s", async (_name, target) => {
    await expect(ask(target as unknown as Target)).rejects.toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
    });
  });
});

describe.each([null, 7, "options", [], 7n])("options that are %s", (options) => {
  test("are reported, and thrown by what throws", async () => {
    const given = options as never;
    expect((await prefault(path, given)).error?.code).toBe("PREFAULT_INVALID_OPTION");
    for (const ask of [residency, evict, findMappings, mapModel]) {
      await expect(ask(path, given)).rejects.toMatchObject({ code: "PREFAULT_INVALID_OPTION" });
    }
  });
});

describe.skipIf(process.platform !== "linux")("memory that is mapped", () => {
  test(
    "is measured by residency, and refused by evict with the reason",
    looksAtPageCache,
    async () => {
      await using model = await mapModel(path);
      await model.prefault({ log() {} });
      const found = await findMappings(path);
      expect(found.length).toBeGreaterThan(0);
      const { bytes, residentBytes, files } = await residency(found);
      expect(files).toEqual([]);
      expect(bytes).toBe(found.reduce((sum, each) => sum + each.byteLength, 0));
      expect(residentBytes).toBeGreaterThan(0.9 * bytes);
      await expect(evict(found)).rejects.toMatchObject({
        code: "PREFAULT_UNSUPPORTED",
        message: expect.stringContaining("mapped"),
      });
    },
  );

  test.each([
    ["a negative address", { address: -1n, byteLength: 1 }],
    ["a negative length", { address: 4096n, byteLength: -1 }],
    ["a length that is no number", { address: 4096n, byteLength: Number.NaN }],
    ["a length that is a BigInt", { address: 4096n, byteLength: 7n }],
  ])("is a usage error with %s", async (_, region) => {
    const target = [region] as unknown as Target;
    expect((await prefault(target, { log() {} })).error?.code).toBe("PREFAULT_INVALID_OPTION");
    await expect(residency(target)).rejects.toMatchObject({ code: "PREFAULT_INVALID_OPTION" });
  });
});

test("closing a copied model turns the loop, and its views read zeros", async () => {
  const large = join(folder, "large.bin");
  writeDataFile(large, 200 * MIB);
  const model = await mapModel(large, { copy: true });
  const [view = new Uint8Array()] = model.tensor("large.bin").views;
  expect(view.some((byte) => byte !== 0)).toBe(true);
  let turns = 0;
  const count = () => {
    turns += 1;
    immediate = setImmediate(count);
  };
  let immediate = setImmediate(count);
  await model.close();
  clearImmediate(immediate);
  expect(turns).toBeGreaterThan(5);
  expect(view.every((byte) => byte === 0)).toBe(true);
});
