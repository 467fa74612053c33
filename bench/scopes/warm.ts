import { gibPerSecond } from "../../src/units.ts";
import type { Scope } from "../bench.ts";
import type { SweepOutcome, SweepTask } from "../children/sweep.ts";
import { runChild } from "../process.ts";
import { type Column, medianOf } from "../result.ts";
import { interleave } from "../rounds.ts";

const COLUMNS: readonly Column[] = [
  { key: "workersGibPerSecond", title: "workers, GiB/s", digits: 1 },
  { key: "againGibPerSecond", title: "a second call's, GiB/s", digits: 1 },
  { key: "callGibPerSecond", title: "whole call, GiB/s", digits: 1 },
  { key: "secondsCall", title: "whole call, s", digits: 3 },
  { key: "minorFaults", title: "minor faults", digits: 0 },
];

const AS_SHIPPED = "prefault";

export const warm: Scope = {
  name: "warm",
  compares:
    "A sweep over a file that is resident already: page tables are empty, since each sweep maps the " +
    "file anew, so this is the cost of mapping and touching alone. The workers' own time is what the " +
    "report gives; the whole call adds starting and ending threads, twice counting residency, and the plan.",
  wrongWhen: [
    "the file was made resident by something that leaves small pages (each round fills it cold by " +
      "prefault first, unless it is wholly resident from the round before)",
    "the kernel evicted some of it (resident % is checked before each run)",
    "processors are shared: this is bound by them and by memory, not by the device",
  ],
  async run({ subjects, settings, machine, say }) {
    const path = await subjects.file(settings.bytes);
    await subjects.cool(path);
    const sweep = async (options: SweepTask["options"], times: number) => {
      const task: SweepTask = { path, times, ...(options && { options }) };
      return (await runChild<SweepOutcome>("sweep", task)).result;
    };
    const contender = (name: string, options?: SweepTask["options"]) => ({
      name,
      async run() {
        if ((await subjects.residentPercent(path)) < 100) await sweep(undefined, 1);
        const { reports, callSeconds } = await sweep(options, 2);
        const [first, second] = reports;
        const [seconds = Number.NaN] = callSeconds;
        return {
          workersGibPerSecond: first?.gibPerSecond ?? Number.NaN,
          againGibPerSecond: second?.gibPerSecond ?? Number.NaN,
          callGibPerSecond: gibPerSecond(settings.bytes, seconds),
          secondsCall: seconds,
          minorFaults: first?.minorFaults ?? Number.NaN,
        };
      },
    });
    const rows = await interleave(
      [
        contender(AS_SHIPPED),
        contender("as many workers as cores", { workers: machine.cores }),
        contender("one worker", { workers: 1 }),
        contender("touch", { strategy: "touch" }),
        contender("touch, as many workers as cores", { strategy: "touch", workers: machine.cores }),
        contender("read", { strategy: "read" }),
      ],
      settings.rounds,
      say,
    );
    return {
      tables: [
        {
          id: "warm",
          title: "Warm, page tables empty",
          columns: COLUMNS,
          rows,
          moreIsBetter: true,
        },
      ],
      checks: [
        {
          what: "warm sweep, page tables empty, GiB/s",
          value: medianOf(rows, AS_SHIPPED, "workersGibPerSecond"),
          atLeast: 100,
        },
      ],
    };
  },
};
