import { statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { residency } from "prefault";
import { withPrefault } from "prefault/node-llama-cpp";
import { describe, expect, onTestFinished, test } from "vitest";
import { mapForeign } from "../fixtures/foreign-mapping.ts";
import { coldModels, loaded, watched } from "../helpers/load-beside.ts";
import { descriptorsOf } from "../helpers/open-descriptors.ts";
import { mappedInTables } from "../helpers/private-memory.ts";
import { mappingsOf, until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;

// The models are cold because they were evicted; what is open is looked up in /proc.
describe.skipIf(process.platform !== "linux")("a load of a model", () => {
  const coldModel = coldModels(temporaryFolder());

  describe("of which a budget allows a part", () => {
    const BUDGET = 16 * MIB;
    const partly = () => {
      const given = watched();
      return { ...given, how: { ...given.how, budget: BUDGET } };
    };

    test("fills it after the load, and resolves after that", looksAtPageCache, async () => {
      const modelPath = await coldModel("part");
      const { how, log, reports } = partly();
      const during: unknown[] = [];
      const load = async () => {
        await sleep(500);
        during.push(...reports, (await residency([{ path: modelPath }])).residentBytes);
        return loaded;
      };
      expect(await withPrefault({ modelPath, gpuLayers: 0 }, load, how)).toBe(loaded);
      expect(reports).toMatchObject([{ ran: true, budgetBytes: BUDGET, failures: [] }]);
      expect(during).toEqual([expect.any(Number)]);
      // The header is read before.
      expect(during[0]).toBeLessThan(4 * MIB);
      const { residentBytes } = await residency([{ path: modelPath }]);
      // Of a dense model the tensors that fit whole.
      expect(reports[0]?.bytes).toBeGreaterThan(BUDGET / 2);
      expect(residentBytes).toBeGreaterThan(mostOf(reports[0]?.bytes ?? 0));
      expect(residentBytes).toBeLessThanOrEqual(BUDGET);
      expect(log.join()).toMatch(/\[node-llama-cpp\] Pre-faulted 0\.0\d GiB/);
    });

    test("maps it where the engine did, so that its first access is no fault", async () => {
      const modelPath = await coldModel("part-mapped");
      const { how, reports } = partly();
      const load = async () => {
        const { unmap } = mapForeign(modelPath, statSync(modelPath).size);
        onTestFinished(unmap);
        return loaded;
      };
      await withPrefault({ modelPath, gpuLayers: 0 }, load, how);
      expect(mappedInTables(modelPath)).toBeGreaterThan(mostOf(reports[0]?.bytes ?? 0));
    });

    test("fails with the load's own error, and fills nothing", async () => {
      const modelPath = await coldModel("part-failing");
      for (const delay of [0, 300]) {
        const { how, reports, reported } = partly();
        const failure = new Error("no such quantisation");
        const load = async () => {
          await sleep(delay);
          throw failure;
        };
        await expect(withPrefault({ modelPath, gpuLayers: 0 }, load, how)).rejects.toBe(failure);
        await reported();
        expect(reports).toMatchObject([
          { ran: false, error: { code: "PREFAULT_ABORTED", cause: failure } },
        ]);
      }
      expect((await residency([{ path: modelPath }])).residentBytes).toBeLessThan(4 * MIB);
    });

    test("stops with the signal: in the load, and after it", async () => {
      const modelPath = await coldModel("part-aborted");
      for (const isLate of [false, true]) {
        const controller = new AbortController();
        const { how, reported } = partly();
        const options = { modelPath, gpuLayers: 0, loadSignal: controller.signal };
        const load = async () => {
          if (!isLate) await sleep(200);
          // What is queued runs after the load is done.
          if (isLate) setImmediate(() => controller.abort());
          else controller.abort();
          return loaded;
        };
        expect(await withPrefault(options, load, how)).toBe(loaded);
        expect(await reported()).toMatchObject([{ error: { code: "PREFAULT_ABORTED" } }]);
      }
      await until(() => descriptorsOf(modelPath) === 0, "the file was closed");
      expect(mappingsOf(modelPath)).toEqual([]);
    });

    test("does not wait for a fill that cannot be", async () => {
      const { how, reported } = partly();
      const missing = { modelPath: "/nowhere/model.gguf", gpuLayers: 0 };
      expect(await withPrefault(missing, async () => loaded, how)).toBe(loaded);
      expect(await reported()).toMatchObject([{ error: { code: "PREFAULT_NOT_FOUND" } }]);
    });
  });
});
