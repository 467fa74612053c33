import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { evict, residency } from "prefault";
import { type PrefaultReport, withPrefault } from "prefault/node-llama-cpp";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { descriptorsOf } from "../helpers/open-descriptors.ts";
import { mappingsOf, until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";

const MIB = 1024 ** 2;
const BYTES = 64 * MIB;

// The models are cold because they were evicted; what is swept is looked up in /proc.
describe.skipIf(process.platform !== "linux")("a load with a prefault beside it", () => {
  const folder = temporaryFolder();
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  async function coldModel(name: string, targetBytes = BYTES): Promise<string> {
    const modelPath = join(folder, `${name}.gguf`);
    await writeSyntheticModel({ kind: "dense", path: modelPath, layers: 4, targetBytes });
    await evict(modelPath);
    return modelPath;
  }

  /** What to give besides the load, and the reports that come of it. */
  function watched() {
    const reports: PrefaultReport[] = [];
    const log: string[] = [];
    const how = {
      gate: "always",
      onReport: (report: PrefaultReport) => void reports.push(report),
      log: (line: string) => void log.push(line),
    } as const;
    const reported = async (count = 1) => {
      await until(() => reports.length >= count, `${count} reports came`);
      return reports;
    };
    return { how, log, reports, reported };
  }

  const loaded = { gpuLayers: 0, useMmap: true };

  test("gives what the load gives, and the model is resident", looksAtPageCache, async () => {
    const modelPath = await coldModel("all");
    const { how, log, reported } = watched();
    const model = await withPrefault({ modelPath, gpuLayers: 0 }, async () => loaded, how);
    expect(model).toBe(loaded);
    const [report] = await reported();
    expect(report).toMatchObject({ ran: true, label: "node-llama-cpp", failures: [] });
    expect((await residency(modelPath)).residentBytes).toBeGreaterThan(mostOf(BYTES));
    expect(log).toEqual([expect.stringMatching(/^\[node-llama-cpp\] Pre-faulted 0\.06 GiB/)]);
  });

  test("starts the load at once, with the options it was given", async () => {
    const options = { modelPath: await coldModel("at-once"), gpuLayers: 0 };
    const { how, reported } = watched();
    let given: unknown;
    const loading = withPrefault(
      options,
      async (merged) => {
        given = merged;
      },
      how,
    );
    expect(given).toBe(options);
    await loading;
    await reported();
  });

  test("does not wait for the rest of the sweep, which goes on", looksAtPageCache, async () => {
    const modelPath = await coldModel("rest");
    const { how, reports, reported } = watched();
    await withPrefault({ modelPath, gpuLayers: 0 }, () => loaded, how);
    expect(reports).toEqual([]);
    expect((await reported())[0]).toMatchObject({ ran: true, failures: [] });
    expect((await residency(modelPath)).residentBytes).toBeGreaterThan(mostOf(BYTES));
  });

  describe("sweeps", () => {
    const sweptOf = async (name: string, options: object, model: object = loaded) => {
      const modelPath = await coldModel(name);
      const { how, reported } = watched();
      await withPrefault({ modelPath, ...options }, async () => model, how);
      const [report] = await reported();
      return report?.bytes ?? 0;
    };
    const size = (name: string) => readFileSync(join(folder, `${name}.gguf`)).byteLength;

    test("what a number of layers leaves on the CPU", async () => {
      const told = { gpuLayers: 3, useMmap: true };
      const bytes = await sweptOf("layers", { gpuLayers: 3 }, told);
      expect(bytes).toBeGreaterThan(0.4 * BYTES);
      expect(bytes).toBeLessThan(0.6 * BYTES);
    });

    test.each([
      ["auto", { gpuLayers: "auto" }],
      ["range", { gpuLayers: { min: 1, max: 3 } }],
      ["default", {}],
    ])("the whole model where the load decides: %s", async (name, options) => {
      expect(await sweptOf(name, options)).toBe(size(name));
    });

    test(
      "what the load left on the CPU besides, when it decided otherwise",
      looksAtPageCache,
      async () => {
        const modelPath = await coldModel("otherwise");
        const { how, reported } = watched();
        // Without a GPU every layer is on the CPU, whatever was asked for.
        await withPrefault({ modelPath, gpuLayers: "max" }, async () => loaded, how);
        const [first, second] = await reported(2);
        expect(first?.bytes).toBeLessThan(0.2 * BYTES);
        expect(second?.bytes).toBeGreaterThan(0.8 * BYTES);
        expect((await residency(modelPath)).residentBytes).toBeGreaterThan(mostOf(BYTES));
      },
    );

    test("nothing again when the load decided as expected", async () => {
      const modelPath = await coldModel("as-expected");
      const { how, reports, reported } = watched();
      const told = { gpuLayers: 3, useMmap: true };
      await withPrefault({ modelPath, gpuLayers: 3 }, async () => told, how);
      await reported();
      await sleep(200);
      expect(reports).toHaveLength(1);
    });
  });

  describe("sweeps nothing", () => {
    test.each([
      ["vocabOnly", { vocabOnly: true }],
      ["useDirectIo", { useDirectIo: true }],
    ])("with %s", async (name, options) => {
      const modelPath = await coldModel(name);
      const { how, reported } = watched();
      await withPrefault({ modelPath, ...options }, async () => loaded, how);
      const [report] = await reported();
      expect(report).toMatchObject({ ran: false, reason: expect.stringContaining(name) });
      expect((await residency([{ path: modelPath }])).residentBytes).toBe(0);
    });

    test("and looks at nothing when the kill switch says no", async () => {
      vi.stubEnv("SHARPI_PREFAULT", "0");
      const modelPath = await coldModel("disabled");
      const { how, reported } = watched();
      await withPrefault({ modelPath, gpuLayers: 1 }, async () => loaded, how);
      expect(await reported()).toMatchObject([
        { ran: false, reason: "disabled (SHARPI_PREFAULT=0)" },
      ]);
      expect((await residency([{ path: modelPath }])).residentBytes).toBe(0);
    });
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

  test("stops the sweep when the loaded model holds a copy", async () => {
    const modelPath = await coldModel("copied", 256 * MIB);
    const { how, reported } = watched();
    const copy = { gpuLayers: 0, useMmap: false };
    await withPrefault({ modelPath, gpuLayers: 0 }, () => copy, { ...how, workers: 1 });
    const [report] = await reported();
    expect(report).toMatchObject({ ran: true, reason: "the load was done first" });
    expect(report?.error).toBeUndefined();
    expect((await residency(modelPath)).residentBytes).toBeLessThan(200 * MIB);
  });

  test("stops the sweep when the load has made everything resident", looksAtPageCache, async () => {
    const modelPath = await coldModel("loaded", 256 * MIB);
    const { how, log, reported } = watched();
    const options = { modelPath, gpuLayers: 0 };
    const load = async () => {
      // As an engine does that maps the file populated.
      const handle = await open(modelPath);
      const buffer = Buffer.alloc(16 * MIB);
      while ((await handle.read(buffer, 0, buffer.length)).bytesRead > 0);
      await handle.close();
      return loaded;
    };
    await withPrefault(options, load, { ...how, workers: 1, chunkBytes: 65_536 });
    const [report] = await reported();
    expect(report).toMatchObject({ ran: true, failures: [] });
    expect(report?.error).toBeUndefined();
    expect(report?.residentBytesAfter).toBeGreaterThan(mostOf(256 * MIB));
    expect(report?.seconds).toBeGreaterThan(0);
    expect(log).toEqual([expect.stringMatching(/^\[node-llama-cpp\] Pre-faulted 0\.25 GiB/)]);
  });

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

  describe("tells of the progress of both", () => {
    const inOrder = (told: readonly number[]) => {
      expect(told).toEqual([...told].sort((a, b) => a - b));
      expect(new Set(told).size).toBe(told.length);
      expect(Math.min(...told)).toBeGreaterThan(0);
      expect(Math.max(...told)).toBeLessThanOrEqual(1);
    };

    test("as one number that never falls and ends with the load", async () => {
      const modelPath = await coldModel("progress");
      const { how, reported } = watched();
      const told: number[] = [];
      const options = {
        modelPath,
        gpuLayers: 0,
        onLoadProgress: (share: number) => void told.push(share),
      };
      await withPrefault(
        options,
        async (merged) => {
          await reported();
          // The sweep is over, the load has said nothing: half of what there is.
          expect(told.at(-1)).toBe(0.5);
          for (const share of [0.1, 0.5, 0.4, 0.9, 1]) merged.onLoadProgress(share);
          return loaded;
        },
        how,
      );
      inOrder(told);
      expect(told.slice(-4)).toEqual([0.55, 0.75, 0.95, 1]);
    });

    test("and says nothing any more when the load is done", async () => {
      const modelPath = await coldModel("silent");
      const { how, reported } = watched();
      const told: number[] = [];
      const options = {
        modelPath,
        gpuLayers: 0,
        onLoadProgress: (share: number) => void told.push(share),
      };
      await withPrefault(
        options,
        (merged) => {
          merged.onLoadProgress(1);
          return loaded;
        },
        how,
      );
      await reported();
      expect(told).toEqual([1]);
    });

    test("and ends with 1 when the loader's last word comes late", async () => {
      const modelPath = await coldModel("late-word");
      const { how, reported } = watched();
      const told: number[] = [];
      const options = {
        modelPath,
        gpuLayers: 0,
        onLoadProgress: (share: number) => void told.push(share),
      };
      await withPrefault(
        options,
        (merged) => {
          setTimeout(() => merged.onLoadProgress(1), 1);
          return loaded;
        },
        how,
      );
      expect(told).toEqual([1]);
      await reported();
      await sleep(10);
      expect(told).toEqual([1]);
    });

    test("and does not lose a loaded model to a callback that throws", async () => {
      const modelPath = await coldModel("throws");
      const { how, reported } = watched();
      const options = {
        modelPath,
        onLoadProgress: (_: number) => {
          throw new Error("thrown by onLoadProgress");
        },
      };
      // One parameter, so that the progress is merged.
      expect(await withPrefault(options, (_) => loaded, how)).toBe(loaded);
      await reported();
    });

    test("or of the load alone, which has options of its own", async () => {
      const modelPath = await coldModel("own");
      const { how, reported } = watched();
      const told: number[] = [];
      const options = {
        modelPath,
        gpuLayers: 0,
        onLoadProgress: (share: number) => void told.push(share),
      };
      await withPrefault(
        options,
        async () => {
          await reported();
          for (const share of [0.25, 1]) options.onLoadProgress(share);
          return loaded;
        },
        how,
      );
      expect(told).toEqual([0.25, 1]);
    });
  });

  test("needs no node-llama-cpp: neither what runs nor its types import it", () => {
    for (const file of ["node-llama-cpp.js", "types/src/integrations/node-llama-cpp.d.ts"]) {
      const text = readFileSync(new URL(`../../dist/${file}`, import.meta.url), "utf8");
      expect(text).not.toMatch(/(from|import\()\s*["']node-llama-cpp/);
    }
  });
});
