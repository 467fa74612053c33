import { setTimeout as sleep } from "node:timers/promises";
import { residency } from "prefault";
import { withPrefault } from "prefault/node-llama-cpp";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { BYTES, coldModels, loaded, watched } from "../helpers/load-beside.ts";
import { descriptorsOf } from "../helpers/open-descriptors.ts";
import { mappingsOf, until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { mostOf } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;

// The models are cold because they were evicted; what is swept is looked up in /proc.
describe.skipIf(process.platform !== "linux")("a load with a prefault beside it", () => {
  const folder = temporaryFolder();
  const coldModel = coldModels(folder);
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  describe("that fails", () => {
    const failure = new Error("no such quantisation");

    test.each([
      ["at once", () => Promise.reject(failure)],
      [
        "before it has begun",
        () => {
          throw failure;
        },
      ],
      [
        "late",
        async () => {
          await sleep(100);
          throw failure;
        },
      ],
    ])("fails with its own error: %s", async (_, load) => {
      const modelPath = await coldModel("failing");
      const { how, reported } = watched();
      const slow = { ...how, workers: 1 };
      await expect(withPrefault({ modelPath, gpuLayers: 0 }, load, slow)).rejects.toBe(failure);
      await reported();
    });

    test("stops the sweep", async () => {
      const modelPath = await coldModel("stopped", 512 * MIB);
      const { how, reported } = watched();
      const failing = withPrefault(
        { modelPath, gpuLayers: 0 },
        async () => {
          await until(() => mappingsOf(modelPath).length > 0, "the sweep began");
          throw failure;
        },
        { ...how, workers: 1 },
      );
      await expect(failing).rejects.toBe(failure);
      const [report] = await reported();
      expect(report?.error).toMatchObject({ code: "PREFAULT_ABORTED", cause: failure });
      expect((await residency(modelPath)).residentBytes).toBeLessThan(400 * MIB);
      await until(() => descriptorsOf(modelPath) === 0, "the file was closed");
      expect(mappingsOf(modelPath)).toEqual([]);
    });
  });

  describe("does not fail", () => {
    test.each([
      ["the model is not there", { modelPath: "/nowhere/model.gguf" }, "PREFAULT_NOT_FOUND"],
      ["a number of layers cannot be", { gpuLayers: 1.5 }, "PREFAULT_INVALID_OPTION"],
    ])("because %s", async (_, options, code) => {
      const modelPath = await coldModel("inert");
      const { how, reported } = watched();
      const given = { modelPath, gpuLayers: 1, ...options };
      expect(await withPrefault(given, async () => loaded, how)).toBe(loaded);
      expect(await reported()).toMatchObject([{ ran: false, error: { code } }]);
    });

    test("because an option of the sweep cannot be", async () => {
      const modelPath = await coldModel("option");
      const { how, reported } = watched();
      const wrong = { ...how, workers: 0, onError: "throw" };
      expect(await withPrefault({ modelPath }, async () => loaded, wrong)).toBe(loaded);
      expect(await reported()).toMatchObject([{ error: { code: "PREFAULT_INVALID_OPTION" } }]);
    });

    test("because what takes the report throws", async () => {
      const modelPath = await coldModel("throwing");
      const warnings: string[] = [];
      const note = (warning: Error) => warnings.push(warning.message);
      process.on("warning", note);
      onTestFinished(() => void process.off("warning", note));
      const onReport = () => {
        throw new Error("thrown by onReport");
      };
      const how = { log() {}, onReport };
      expect(await withPrefault({ modelPath }, async () => loaded, how)).toBe(loaded);
      await until(() => warnings.includes("thrown by onReport"), "the warning came");
    });
  });

  describe("that is aborted", () => {
    /** As node-llama-cpp does it: rejects with the signal's reason. */
    const waitFor = (signal: AbortSignal | undefined) =>
      new Promise<never>((_, reject) => {
        if (signal?.aborted) reject(signal.reason);
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      });

    test("stops with its sweep, and another load beside it goes on", async () => {
      const [mine, other] = [await coldModel("mine", 256 * MIB), await coldModel("other")];
      const controller = new AbortController();
      const [first, second] = [watched(), watched()];
      const aborted = withPrefault(
        { modelPath: mine, gpuLayers: 0, loadSignal: controller.signal },
        (merged) => waitFor(merged.loadSignal),
        { ...first.how, workers: 1 },
      );
      const kept = withPrefault(
        { modelPath: other, gpuLayers: 0, loadSignal: new AbortController().signal },
        async () => {
          await second.reported();
          return loaded;
        },
        second.how,
      );
      await until(() => mappingsOf(mine).length > 0, "the sweep began");
      const reason = new Error("the user closed the window");
      controller.abort(reason);
      await expect(aborted).rejects.toBe(reason);
      expect(await first.reported()).toMatchObject([
        { error: { code: "PREFAULT_ABORTED", cause: reason } },
      ]);
      expect(await kept).toBe(loaded);
      const [report] = await second.reported();
      expect(report).toMatchObject({ ran: true, failures: [] });
      expect(report?.error).toBeUndefined();
      expect((await residency(other)).residentBytes).toBeGreaterThan(mostOf(BYTES));
    });

    test("before it began sweeps nothing, and fails as the load fails", async () => {
      const modelPath = await coldModel("never");
      const { how, reported } = watched();
      const loadSignal = AbortSignal.abort("too late");
      const options = { modelPath, gpuLayers: 0, loadSignal };
      const aborted = withPrefault(options, (merged) => waitFor(merged.loadSignal), how);
      await expect(aborted).rejects.toBe("too late");
      expect(await reported()).toMatchObject([{ ran: false, error: { code: "PREFAULT_ABORTED" } }]);
    });

    test("after it is done stops what is left of the sweep", async () => {
      const modelPath = await coldModel("after", 256 * MIB);
      const controller = new AbortController();
      const { how, reported } = watched();
      const options = { modelPath, gpuLayers: 0, loadSignal: controller.signal };
      expect(await withPrefault(options, () => loaded, { ...how, workers: 1 })).toBe(loaded);
      controller.abort();
      expect(await reported()).toMatchObject([{ error: { code: "PREFAULT_ABORTED" } }]);
    });
  });
});
