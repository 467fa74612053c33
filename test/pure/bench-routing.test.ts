import { describe, expect, it } from "vitest";
import { countSelections, describeRouting, type Selection } from "../../bench/engine/routing.ts";

/** One layer of eight experts, of which a token uses two. */
const token = (...experts: number[]): Selection => [experts];

describe("describeRouting", () => {
  it("finds no skew where all experts are used alike", () => {
    const run = [token(0, 1), token(2, 3), token(4, 5), token(6, 7)];
    const routing = describeRouting([run], 8, countSelections(run, 8));
    expect(routing.topQuarter).toBe(0.25);
    expect(routing.reuse).toBe(0);
    expect(routing.gini).toBeCloseTo(0);
    expect(routing.distinct).toBe(8);
  });

  it("finds everything on the top quarter where the same experts are used for ever", () => {
    const run = [token(3, 6), token(3, 6), token(3, 6)];
    const routing = describeRouting([run], 8, countSelections(run, 8));
    expect(routing.topQuarter).toBe(1);
    expect(routing.reuse).toBe(1);
    expect(routing.gini).toBeCloseTo(0.75);
    expect(routing.distinct).toBe(2);
  });

  it("judges by a ranking of other tokens too", () => {
    const judged = [token(0, 1), token(0, 2)];
    const others = countSelections([token(0, 7), token(0, 7)], 8);
    const routing = describeRouting([judged], 8, others);
    expect(routing.topQuarter).toBe(0.75);
    expect(routing.topQuarterForeseen).toBe(0.5);
  });

  it("counts no reuse from one prompt to the next", () => {
    const { reuse } = describeRouting(
      [
        [token(0, 1), token(1, 2)],
        [token(1, 2), token(5, 6)],
      ],
      8,
      countSelections([], 8),
    );
    expect(reuse).toBe(0.25);
  });
});
