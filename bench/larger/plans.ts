import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { openModel } from "prefault";
import { writeImatrix } from "../../test/models/imatrix.ts";
import { writeSyntheticModel } from "../../test/models/synthetic-model.ts";
import type { Bench } from "../bench.ts";
import { CLI, runProgram } from "../process.ts";
import { type Check, type Column, medianOf, type Table } from "../result.ts";
import { interleave } from "../rounds.ts";

const WITH = "plan --budget --profile";
const WITHOUT = "plan --budget";

const COLUMNS: readonly Column[] = [
  { key: "ms", title: "the whole command, ms", digits: 0 },
  { key: "processorMs", title: "its processor time, ms", digits: 0 },
  { key: "mostMiB", title: "most memory, MiB", digits: 0 },
];

/** 60 blocks of 256 experts, of which nothing but the header is on the disk; its imatrix has 190 MB. */
const SHAPE = { layers: 60, experts: 256, expertsUsed: 8, hidden: 1280, expertFeedForward: 512 };

/** The command as a user starts it, with an imatrix and without. */
export async function comparePlans({ settings, say }: Bench, folder: string): Promise<Table> {
  say(" plans");
  mkdirSync(folder, { recursive: true });
  const model = join(folder, "model.gguf");
  const imatrix = join(folder, "model.imatrix.gguf");
  if (!existsSync(imatrix)) {
    await writeSyntheticModel({ kind: "moe", path: model, contents: "hole", ...SHAPE });
    const routed = (await openModel(model)).tensors.filter(({ name }) => name.includes("_exps"));
    const tensors = routed.map(({ name, shape }) => ({
      name,
      inputs: shape[0] ?? 0,
      counts: Array.from({ length: SHAPE.experts }, (_, rank) => Math.round(50_000 / (rank + 1))),
    }));
    await writeImatrix({ path: imatrix, tensors });
  }
  const contender = (name: string, args: readonly string[]) => ({
    name,
    async run() {
      const command = [CLI, "plan", model, "--budget", "4G", ...args];
      const { stdout, seconds } = await runProgram(process.execPath, [...SAY_USE, ...command]);
      const used = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as NodeJS.ResourceUsage;
      const processorMs = (used.userCPUTime + used.systemCPUTime) / 1000;
      return { ms: 1000 * seconds, processorMs, mostMiB: used.maxRSS / 1024 };
    },
  });
  const rows = await interleave(
    [contender(WITHOUT, []), contender(WITH, ["--profile", imatrix])],
    Math.max(settings.rounds, 7),
    say,
  );
  return {
    id: "larger-plan",
    title: "A plan of 60 blocks of 256 experts, with an imatrix of 190 MB",
    columns: COLUMNS,
    rows,
    moreIsBetter: false,
  };
}

/** Prints what the process used behind what it printed. */
const SAY_USE = [
  "--import",
  "data:text/javascript,process.on('exit',()=>console.log(JSON.stringify(process.resourceUsage())))",
];

export function planChecks({ rows }: Table): Check[] {
  const memory = (name: string) => medianOf(rows, name, "mostMiB") ?? Number.NaN;
  const more = memory(WITH) - memory(WITHOUT);
  return [
    {
      what: "plan with an imatrix of 190 MB, the whole command, ms",
      value: medianOf(rows, WITH, "ms"),
      atMost: 300,
    },
    {
      what: "its memory over that of a plan without, MiB",
      value: Number.isNaN(more) ? null : more,
      atMost: 64,
    },
  ];
}
