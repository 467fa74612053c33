import { describe, expect, test } from "vitest";
import { Pace } from "../../../src/beside/pace.ts";

/** Bytes a millisecond that an engine and a sweep read, by what the sweep does. */
interface Rates {
  readonly together: number;
  readonly engine: number;
}

/** The steps that a pace gives, where the rates are those of each of its steps in turn. */
function stepsAt(rates: readonly Rates[]) {
  const pace = new Pace();
  let bytes = 0;
  let now = 0;
  let last = pace.look(bytes, now);
  return rates.map(({ together, engine }) => {
    now += last.ms;
    bytes += last.ms * (last.step === "read" ? together : engine);
    last = pace.look(bytes, now);
    return `${last.step} ${last.ms}`;
  });
}

const often = (rates: Rates, times: number) => Array.from({ length: times }, () => rates);

describe("reading beside an engine", () => {
  test("reads on where both together are faster", () => {
    expect(stepsAt(often({ together: 200, engine: 100 }, 4))).toEqual([
      "listen 100",
      "read 300",
      "listen 100",
      "read 300",
    ]);
  });

  test("stands back where the engine alone keeps the device busy", () => {
    expect(stepsAt(often({ together: 110, engine: 100 }, 3))).toEqual([
      "listen 100",
      "stand back 200",
      "stand back 200",
    ]);
  });

  test("reads again when the engine is done", () => {
    const busy = { together: 110, engine: 100 };
    const done = { together: 110, engine: 5 };
    expect(stepsAt([busy, busy, done])).toEqual(["listen 100", "stand back 200", "read 300"]);
  });

  test("compares anew after a while, and less and less often, where something reads without end", () => {
    const steps = stepsAt(often({ together: 110, engine: 100 }, 100));
    const stood = steps.map((step) => (step.startsWith("stand") ? "s" : "-")).join("");
    expect(stood.split(/-+/).map((run) => run.length)).toEqual([0, 10, 20, 40, 23]);
  });

  test("listens less often to an engine that reads nothing", () => {
    const steps = stepsAt(often({ together: 100, engine: 0 }, 8));
    expect(steps.filter((step) => step.startsWith("read"))).toEqual([
      "read 300",
      "read 300",
      "read 1200",
      "read 1200",
    ]);
  });

  test("listens as often as before once the engine reads again", () => {
    const idle = { together: 100, engine: 0 };
    const busy = { together: 200, engine: 100 };
    expect(stepsAt([...often(idle, 6), busy, busy]).at(-1)).toBe("read 300");
  });
});
