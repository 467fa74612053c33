import { createReadStream, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { evict } from "prefault";
import { withPrefault } from "prefault/node-llama-cpp";
import { beforeAll, describe, expect, test } from "vitest";
import { type BudgetModel, writeBudgetModel, writeCsvProfile } from "../helpers/budget-model.ts";
import { loaded, watched } from "../helpers/load-beside.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache } from "../helpers/tolerance.ts";

/** Of two tokens: a quarter of the experts, each once. */
function thinProfile({ layers, experts }: BudgetModel): string {
  const lines = ["layer,expert,count"];
  for (let layer = 0; layer < layers; layer++) {
    for (let expert = 0; expert < experts; expert += 4) lines.push(`${layer},${expert},1`);
  }
  return lines.join("\n");
}

async function readFrom(path: string, start: number): Promise<void> {
  for await (const _ of createReadStream(path, { start: Math.floor(start) }));
}

// The load is played by reading the file, or by not reading it.
describe.skipIf(process.platform !== "linux")("experts within a budget, after a load", () => {
  const folder = temporaryFolder();
  let model: BudgetModel;

  beforeAll(async () => {
    model = await writeBudgetModel(join(folder, "model.gguf"));
  });

  /**
   * @param reads the file from there on; not at all with `null`
   * @param skew of the profile, of the law that its counts follow; `"thin"`: so few that they say nothing
   */
  async function load(reads: number | null, skew: number | "thin" | null) {
    const { path } = model;
    await evict(path);
    const { how, log, reported } = watched();
    const profile = join(folder, `${skew}.csv`);
    if (skew === "thin") writeFileSync(profile, thinProfile(model));
    else if (skew !== null) writeCsvProfile(profile, model, skew, 1);
    await withPrefault(
      { modelPath: path, gpuLayers: 0 },
      async () => {
        if (reads !== null) await readFrom(path, reads);
        return loaded;
      },
      { ...how, budget: statSync(path).size / 2, ...(skew !== null && { profile }) },
    );
    const [report] = await reported();
    const [core, experts] = report?.runs ?? [];
    expect(core).toMatchObject({ ran: true });
    expect(experts?.error).toBeUndefined();
    return { core, experts, log: log.join("\n") };
  }

  test("are left as they are where it read them and no profile ranks them", async () => {
    const reason = "skipped: no profile ranks the experts, and as many others are resident";
    expect((await load(0, null)).experts).toMatchObject({ ran: false, reason });
  });

  test("are left as they are where it read them and a profile is flat", async () => {
    const reason = /^skipped: all experts are used about equally often, and as many others/;
    const { experts } = await load(0, 0);
    expect(experts).toMatchObject({ ran: false });
    expect(experts?.reason).toMatch(reason);
  });

  test("are left as they are where it read them and a profile has too few samples", async () => {
    const reason = /^skipped: the profile has too few samples to rank, and as many others/;
    const { experts } = await load(0, "thin");
    expect(experts?.reason).toMatch(reason);
  });

  test("need no room where they are left as they are", looksAtPageCache, async () => {
    // The budget would choose those before, of which some are missing.
    const { core, experts, log } = await load(0.4 * model.bytes, null);
    expect(experts).toMatchObject({ ran: false });
    const [, size, unit = ""] =
      /there is room for the (\S+) (\w+) that are missing/.exec(log) ?? [];
    const bytes = Number(size) * 1024 ** ["B", "KiB", "MiB"].indexOf(unit);
    expect(bytes).toBeLessThanOrEqual(core?.plannedBytes ?? 0);
  });

  test("are filled where it did not read them", looksAtPageCache, async () => {
    for (const skew of [null, 0, "thin"] as const) {
      expect((await load(null, skew)).experts).toMatchObject({ ran: true });
    }
  });

  test("are filled where a profile ranks them", looksAtPageCache, async () => {
    expect((await load(0, 1.4)).experts).toMatchObject({ ran: true });
  });
});
