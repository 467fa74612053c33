import { setTimeout as sleep } from "node:timers/promises";
import { withPrefault } from "prefault/node-llama-cpp";
import { afterEach, describe, expect, test, vi } from "vitest";
import { coldModels, loaded, watched } from "../helpers/load-beside.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

// The models are cold because they were evicted; what is swept is looked up in /proc.
describe.skipIf(process.platform !== "linux")("a load with a prefault beside it", () => {
  const folder = temporaryFolder();
  const coldModel = coldModels(folder);
  afterEach(() => {
    vi.unstubAllEnvs();
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
});
