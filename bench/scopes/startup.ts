import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Scope } from "../bench.ts";
import { bundle } from "../bundle.ts";
import type { StartupOutcome, StartupTask } from "../children/startup.ts";
import { CLI, runProgram } from "../process.ts";
import { type Column, medianOf } from "../result.ts";
import { interleave } from "../rounds.ts";

const COLUMNS: readonly Column[] = [
  { key: "importMs", title: "import, ms", digits: 1 },
  { key: "processMs", title: "whole process, ms", digits: 0 },
  { key: "firstCallMs", title: "first call over one page, ms", digits: 1 },
  { key: "secondCallMs", title: "second call, ms", digits: 1 },
  { key: "commandMs", title: "to the start of its command, ms", digits: 0 },
];
const EMPTY = "an empty module";
const IMPORT = "prefault, imported";
const CALLED = "prefault, one cold page";
const RUN = "prefault run -- COMMAND";

export const startup: Scope = {
  name: "startup",
  compares:
    "Importing the built library over importing an empty module, each in a fresh Node without any " +
    "loader; then a call over a single cold page, and a second call in the same process. A call's " +
    "time is until its answer, which is after its page was touched: an upper bound of the time to " +
    "the first touched page. Then `prefault run`, until the command that it was given has begun.",
  wrongWhen: [
    "the library's own files are cold (the first round is one of warm-up and does not count)",
    "a loader compiles the module (the child is compiled to plain JavaScript beforehand)",
  ],
  async run({ subjects, settings, say }) {
    const path = await subjects.file(1024 ** 2);
    const empty = join(subjects.folder, "empty.mjs");
    writeFileSync(empty, "");
    const child = await bundle("bench/children/startup.ts");
    const contender = (name: string, task: StartupTask) => ({
      name,
      async run() {
        await subjects.cool(path);
        const { stdout, seconds } = await runProgram(process.execPath, [
          child,
          JSON.stringify(task),
        ]);
        const { importMs, callMs } = JSON.parse(stdout) as StartupOutcome;
        const [firstCallMs, secondCallMs] = callMs;
        const processMs = seconds * 1000;
        if (firstCallMs === undefined || secondCallMs === undefined) return { importMs, processMs };
        return { importMs, processMs, firstCallMs, secondCallMs };
      },
    });
    const library = resolve("dist/index.js");
    const contenders = [
      contender(EMPTY, { module: empty }),
      contender(IMPORT, { module: library }),
      contender(CALLED, { module: library, path }),
      {
        name: RUN,
        async run() {
          await subjects.cool(path);
          const started = performance.timeOrigin + performance.now();
          const { stdout, seconds } = await runProgram(process.execPath, [
            ...[CLI, "run", "--quiet", path],
            ...["--", "date", "+%s%N"],
          ]);
          return { commandMs: Number(stdout) / 1e6 - started, processMs: seconds * 1000 };
        },
      },
    ];
    await interleave(contenders, 1, () => {});
    const rows = await interleave(contenders, 2 * settings.rounds, say);
    const importMs = (name: string) => medianOf(rows, name, "importMs") ?? Number.NaN;
    return {
      tables: [{ id: "startup", title: "Start-up", columns: COLUMNS, rows, moreIsBetter: false }],
      checks: [
        {
          what: "import over an empty module, ms",
          value: importMs(IMPORT) - importMs(EMPTY),
          atMost: 40,
        },
        {
          what: "from the call to the first touched page, ms (upper bound)",
          value: medianOf(rows, CALLED, "firstCallMs"),
          atMost: 80,
        },
        {
          what: "prefault run, to the start of its command, over an empty Node's whole process, ms",
          value: difference(medianOf(rows, RUN, "commandMs"), medianOf(rows, EMPTY, "processMs")),
          atMost: 60,
        },
      ],
    };
  },
};

function difference(above: number | null, below: number | null): number | null {
  return above === null || below === null ? null : above - below;
}
