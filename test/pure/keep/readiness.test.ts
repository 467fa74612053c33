import { describe, expect, test } from "vitest";
import { isWarm, type KeepView, ReadinessProbe } from "../../../src/cli/keep/readiness.ts";
import { PrefaultError } from "../../../src/errors.ts";
import { filled, run, state, view } from "./views.ts";

const ask = (given: KeepView) => new ReadinessProbe().ask(given);
const cold = state([run({ residentBytes: 400 })]);

const refused = new PrefaultError("PREFAULT_PERMISSION", "you may not read it");

describe("a readiness probe", () => {
  test.each<[string, KeepView, boolean, RegExp]>([
    ["while it is filled", view({ report: null, state: null }), false, /being filled/],
    ["before the first look", view({ state: null }), false, /not warm/],
    ["when all is resident", view(), true, /^warm: 1000 B of 1000 B are resident$/],
    [
      "when a little is missing",
      view({ state: state([run({ residentBytes: 985 })]) }),
      true,
      /^warm/,
    ],
    ["when much is missing", view({ state: cold }), false, /^not warm: 400 B of 1000 B/],
    [
      "where the system does not say",
      view({ state: state([run({ residentBytes: null })]) }),
      true,
      /does not say/,
    ],
    [
      "where it does not say, and filling again failed",
      view({ state: state([run({ residentBytes: null })], { refillError: refused }) }),
      false,
      /does not say/,
    ],
    [
      "after a skip",
      view({ report: filled({ ran: false, reason: "skipped: too large" }), state: state([]) }),
      false,
      /^not warm: skipped: too large$/,
    ],
    [
      "when no byte stays on the CPU",
      view({ report: filled({ ran: false, bytes: 0 }), state: state([]) }),
      true,
      /nothing is to be warmed/,
    ],
    [
      "with the kill switch",
      view({ report: null, state: null, disabled: "disabled (PREFAULT=0)" }),
      true,
      /nothing is to be warmed: disabled \(PREFAULT=0\)/,
    ],
    [
      "after a failure",
      view({ report: filled({ error: new PrefaultError("PREFAULT_READ_FAILED", "no luck") }) }),
      false,
      /^not warm: no luck$/,
    ],
  ])("%s", (_, given, isReady, why) => {
    const answer = ask(given);
    expect(answer.isReady).toBe(isReady);
    expect(answer.why).toMatch(why);
  });

  test("stays ready once all was warm", () => {
    const probe = new ReadinessProbe();
    expect(probe.ask(view({ state: cold })).isReady).toBe(false);
    expect(probe.ask(view()).isReady).toBe(true);
    expect(probe.ask(view({ state: cold }))).toEqual({
      isReady: true,
      why: "was warm, and will be again: 400 B of 1000 B are resident",
    });
    expect(isWarm(view({ state: cold }))).toBe(false);
  });
});
