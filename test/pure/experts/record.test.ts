import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkProfile } from "../../../src/experts/check-profile.ts";
import { parseProfile, writeProfile } from "../../../src/experts/profile-json.ts";
import { mergeProfiles, ResidencySum, snapshotProfile } from "../../../src/experts/record.ts";
import { paperModel } from "./models.ts";

const model = paperModel({ layers: 3, experts: 4, dense: 1 });
const sample = fc
  .array(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 }), {
    minLength: 2,
    maxLength: 2,
  })
  .map((rows) => [[], ...rows]);
const rows = ({ weights }: { weights: readonly Float64Array[] }) => weights.map((row) => [...row]);

describe("a recording", () => {
  test("sums what was resident, look by look", () => {
    const sum = new ResidencySum(model);
    sum.add([[], [1, 0, 0.5, 0], [0, 0, 1, 1]]);
    sum.add([[], [1, 0.25, 0, 0], [0, 0, 1, 0]]);
    expect(rows(sum.profile())).toEqual([[], [2, 0.25, 0.5, 0], [0, 0, 2, 1]]);
    expect(sum.profile()).toMatchObject({ samples: 2, layers: 3, experts: 4 });
  });

  test("has no row for blocks that were not looked at", () => {
    const sum = new ResidencySum(model);
    sum.add([[], [1, 0, 0, 0]]);
    expect(rows(sum.profile())).toEqual([[], [1, 0, 0, 0], []]);
  });

  test("fits the model it was made of, through a file, and no weight exceeds its samples", () => {
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 5 }), (samples) => {
        const sum = new ResidencySum(model);
        for (const each of samples) sum.add(each);
        const profile = sum.profile();
        const again = checkProfile(parseProfile(writeProfile(profile)), model);
        expect(rows(again)).toEqual(rows(profile));
        expect(Math.max(...rows(again).flat())).toBeLessThanOrEqual(samples.length);
      }),
    );
  });

  test("merged is the recording of all its looks", () => {
    fc.assert(
      fc.property(sample, sample, (first, second) => {
        const sum = new ResidencySum(model);
        sum.add(first);
        sum.add(second);
        const merged = mergeProfiles([first, second].map((each) => snapshotProfile(model, each)));
        expect(merged.samples).toBe(2);
        for (const [block, row] of sum.profile().weights.entries()) {
          for (const [expert, weight] of row.entries()) {
            expect(merged.weights[block]?.[expert]).toBeCloseTo(weight, 5);
          }
        }
      }),
    );
  });

  test.each([
    ["a row of another length", [[], [1, 1]]],
    ["a row for a dense block", [[1, 1, 1, 1]]],
    ["a share above 1", [[], [1, 1, 1, 1.1]]],
    ["no number", [[], [1, 1, 1, Number.NaN]]],
    ["a block too many", [[], [], [], [1, 1, 1, 1]]],
  ])("refuses %s, and keeps what it had", (_, bad) => {
    const sum = new ResidencySum(model);
    sum.add([[], [1, 0, 0, 0]]);
    expect(() =>
      sum.add([[], [1, 1, 1, 1], ...bad.slice(2)].map((row, at) => bad[at] ?? row)),
    ).toThrow(expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }));
    expect(rows(sum.profile())).toEqual([[], [1, 0, 0, 0], []]);
    expect(sum.samples).toBe(1);
  });
});

describe("profiles are not merged", () => {
  const snapshot = snapshotProfile(model, [[], [1, 0, 0, 0]]);
  test.each([
    ["when there are none", []],
    ["of different models", [snapshot, snapshotProfile(paperModel({ experts: 5 }), [])]],
    ["of no model", [snapshot, { ...snapshot, model: null }]],
    ["without counts", [snapshot, { ...snapshot, samples: 0 }]],
  ])("%s", (_, profiles) => {
    expect(() => mergeProfiles(profiles)).toThrow(
      expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }),
    );
  });
});
