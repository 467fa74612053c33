import type { Scope } from "../bench.ts";
import type { ReadyOutcome, ReadyTask } from "../children/ready.ts";
import { runChild } from "../process.ts";
import { type Column, medianOf, ratio } from "../result.ts";
import { interleave } from "../rounds.ts";

const AT_ONCE = "reader started at once";
const AFTER = "reader started after the sweep";
const ALONE = "reader alone";

const COLUMNS: readonly Column[] = [
  { key: "firstToken", title: "to the first token, s", digits: 3 },
  { key: "firstLayer", title: "to the end of layer 0, s", digits: 3 },
];

export const ready: Scope = {
  name: "ready",
  compares:
    "What a reader gains by reading each layer as soon as it is resident. A reader that reads every byte of a " +
    "cold dense model layer by layer, on one thread and through a mapping of its own: started with " +
    "the sweep, waiting for each layer; started when the sweep is over; and with no sweep.",
  wrongWhen: [
    "the model is not cold (checked: residency must read 0)",
    "reading costs nothing next to the sweep: then there is nothing to overlap. A decoder computes " +
      "besides, and gains more than this reader",
  ],
  async run(bench) {
    const path = await bench.subjects.dense(bench.settings.bytes);
    const contender = (name: string, start: ReadyTask["start"]) => ({
      name,
      async run() {
        await bench.subjects.cool(path);
        const task: ReadyTask = { path, start };
        const { firstToken, firstLayer } = (await runChild<ReadyOutcome>("ready", task)).result;
        return { firstToken, firstLayer };
      },
    });
    const rows = await interleave(
      [
        contender(AT_ONCE, "at once"),
        contender(AFTER, "after the sweep"),
        contender(ALONE, "no sweep"),
      ],
      bench.settings.rounds,
      bench.say,
    );
    const of = (key: string) => ratio(medianOf(rows, AT_ONCE, key), medianOf(rows, AFTER, key));
    return {
      tables: [
        { id: "ready", title: "Ready by layer", columns: COLUMNS, rows, moreIsBetter: false },
      ],
      checks: [
        {
          what: "to the first token, started at once, of started after the sweep",
          value: of("firstToken"),
          atMost: 1,
        },
        { what: "the same to the end of layer 0", value: of("firstLayer"), atMost: 0.5 },
      ],
    };
  },
};
