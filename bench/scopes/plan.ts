import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Bench as Tinybench } from "tinybench";
import { loadShim } from "../../shims/index.ts";
import { layOut } from "../../src/arena/layout.ts";
import { cutChunks } from "../../src/plan/merge.ts";
import { planRegions } from "../../src/plan/plan.ts";
import type { Range } from "../../src/plan/range.ts";
import type { FileRegion } from "../../src/plan/region.ts";
import type { Scope } from "../bench.ts";
import { seeded } from "../decode-ranges.ts";
import { type Column, medianOf, type Sample } from "../result.ts";
import { interleave } from "../rounds.ts";

const REGIONS = 100_000;
const PAGE = 4096;
/** Room between neighbours, so that no two merge and each is planned to the end. */
const STRIDE = 96 * 1024;
const LENGTH = 64 * 1024;
const COLUMNS: readonly Column[] = [{ key: "ms", title: "ms" }];
const SHUFFLED = "shuffled";

export const plan: Scope = {
  name: "plan",
  compares:
    `Planning ${REGIONS.toLocaleString("en")} regions of one file, from the regions to the table of ` +
    "chunks: opening the file, checking each region, merging (sort, page-align, join), laying out " +
    "arenas, cutting. In file order, as a model's tensors come, and shuffled; beside them the same " +
    "sorting and joining in plain TypeScript on an array, without checks, layout or cutting.",
  wrongWhen: [
    "regions touch and merge into few (they lie apart here, so none does)",
    "the garbage of one run is collected in another's (medians of tinybench's runs; both have it)",
  ],
  async run({ subjects, settings, say }) {
    const path = join(subjects.folder, "bench-plan.bin");
    writeFileSync(path, "");
    truncateSync(path, REGIONS * STRIDE);
    const regions = Array.from({ length: REGIONS }, (_, index) => {
      return { path, offset: index * STRIDE, byteLength: LENGTH };
    });
    const shuffled = shuffle(regions);
    const rows = await interleave(
      [
        { name: "in file order", run: () => time(() => planAll(regions)) },
        { name: SHUFFLED, run: () => time(() => planAll(shuffled)) },
        { name: "plain TypeScript, shuffled", run: () => time(() => mergePlainly(shuffled)) },
      ],
      settings.rounds,
      say,
    );
    truncateSync(path, 0);
    return {
      tables: [{ id: "plan", title: "Plan", columns: COLUMNS, rows, moreIsBetter: false }],
      checks: [
        {
          what: "plan of 100,000 regions, ms (the slower order)",
          value: Math.max(
            medianOf(rows, SHUFFLED, "ms") ?? Number.NaN,
            medianOf(rows, "in file order", "ms") ?? Number.NaN,
          ),
          atMost: 20,
        },
      ],
    };
  },
};

async function planAll(regions: readonly FileRegion[]): Promise<number> {
  const planned = await planRegions(regions, await loadShim());
  const { ranges } = layOut(planned.files.map(({ ranges }) => ranges));
  const chunks = cutChunks(ranges, 32 * 1024 ** 2).length;
  await planned.close();
  return chunks;
}

async function mergePlainly(regions: readonly Required<Range>[]): Promise<number> {
  const sorted = [...regions].sort((a, b) => a.offset - b.offset);
  const merged: { start: number; end: number }[] = [];
  for (const { offset, byteLength } of sorted) {
    const start = Math.floor(offset / PAGE) * PAGE;
    const end = Math.ceil((offset + byteLength) / PAGE) * PAGE;
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged.length;
}

function shuffle<T>(items: readonly T[]): T[] {
  const random = seeded(1);
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const [a, b] = [shuffled[last], shuffled[other]];
    if (a !== undefined && b !== undefined) [shuffled[last], shuffled[other]] = [b, a];
  }
  return shuffled;
}

async function time(call: () => Promise<number>): Promise<Sample> {
  const bench = new Tinybench({ time: 500, warmupTime: 300, throws: true });
  bench.add("plan", async () => {
    await call();
  });
  await bench.run();
  const result = bench.tasks[0]?.result;
  if (result?.state !== "completed") throw new Error(`tinybench: ${result?.state}`);
  return { ms: result.latency.p50 };
}
