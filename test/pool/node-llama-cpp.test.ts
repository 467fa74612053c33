import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { residency } from "prefault";
import { withPrefault } from "prefault/node-llama-cpp";
import { afterEach, describe, expect, test, vi } from "vitest";
import { BYTES, coldModels, loaded, watched } from "../helpers/load-beside.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;

// The models are cold because they were evicted; what is swept is looked up in /proc.
describe.skipIf(process.platform !== "linux")("a load with a prefault beside it", () => {
  const folder = temporaryFolder();
  const coldModel = coldModels(folder);
  afterEach(() => {
    vi.unstubAllEnvs();
  });

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

  test("needs no node-llama-cpp: neither what runs nor its types import it", () => {
    for (const file of ["node-llama-cpp.js", "types/src/integrations/node-llama-cpp.d.ts"]) {
      const text = readFileSync(new URL(`../../dist/${file}`, import.meta.url), "utf8");
      expect(text).not.toMatch(/(from|import\()\s*["']node-llama-cpp/);
    }
  });
});
