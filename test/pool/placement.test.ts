import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { openModel, planPass, prefault } from "prefault";
import { describe, expect, test } from "vitest";
import { evictAll } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";

const PAGE = 4096;
const MIB = 1024 ** 2;

/** An independent judge by range. */
const hasVmtouch = spawnSync("vmtouch", ["-h"]).error === undefined;

/** Resident pages of the whole pages of a range: all that touch it, or all that lie inside. */
function residentPages(path: string, from: number, to: number): { resident: number; all: number } {
  if (to - from < PAGE) return { resident: 0, all: 0 };
  const output = execFileSync("vmtouch", ["-p", `${from}-${to}`, path], { encoding: "utf8" });
  const [, resident, all] = /Resident Pages: (\d+)\/(\d+)/.exec(output) ?? [];
  return { resident: Number(resident), all: Number(all) };
}

// vmtouch looks there only.
describe.skipIf(process.platform !== "linux")("a placement", () => {
  const path = join(temporaryFolder(), "placed.gguf");

  test.for([
    ["the first blocks and their experts", { gpuLayers: 4 }],
    ["all routed experts", { gpuLayers: 99, cpuMoe: true }],
    ["what an override leaves", { overrides: [{ pattern: "blk\\.[2-7]\\.", buffer: "CUDA0" }] }],
  ] as const)(
    "makes resident %s, and nothing else",
    looksAtPageCache,
    async ([, placement], { skip }) => {
      skip(!hasVmtouch, "vmtouch is not installed");
      await writeSyntheticModel({ kind: "moe", path, targetBytes: 400 * MIB });
      const model = await openModel(path);
      const plan = planPass(model, placement);
      execFileSync("sync", [path]);
      await evictAll(path);
      const report = await prefault(plan, { gate: "always", log: () => {} });
      expect(report.error).toBeUndefined();

      const planned = plan.runs.flatMap((run) => run.regions.map(({ tensor }) => tensor));
      const sorted = [...planned].sort((a, b) => a.offset - b.offset);
      const inside = { resident: 0, all: 0 };
      const outside = { resident: 0, all: 0 };
      let ranges = 0;
      let end = 0;
      const add = (to: typeof inside, found: typeof inside) => {
        to.resident += found.resident;
        to.all += found.all;
      };
      for (const { offset, byteLength } of [...sorted, { offset: size(model), byteLength: 0 }]) {
        const gap = [Math.ceil(end / PAGE) * PAGE, Math.floor(offset / PAGE) * PAGE] as const;
        if (gap[1] > gap[0]) ranges += 1;
        add(outside, residentPages(path, ...gap));
        const first = Math.floor(offset / PAGE) * PAGE;
        const last = Math.min(size(model), Math.ceil((offset + byteLength) / PAGE) * PAGE);
        add(inside, residentPages(path, first, last));
        end = Math.max(end, offset + byteLength);
      }
      expect(inside.resident).toBeGreaterThanOrEqual(mostOf(inside.all));
      // Read-ahead goes past the end of a range by what the device is set to, 8 MiB at most here, and
      // so do large folios at its beginning.
      expect(outside.resident * PAGE).toBeLessThan((ranges + 1) * 12 * MIB);
    },
  );
});

function size(model: { files: readonly { byteLength: number }[] }): number {
  return model.files[0]?.byteLength ?? 0;
}
