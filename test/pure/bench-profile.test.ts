import { describe, expect, it } from "vitest";
import { countedProfile } from "../../bench/engine/profile.ts";
import { checkProfile } from "../../src/experts/check-profile.ts";
import { parseProfile, writeProfile } from "../../src/experts/profile-json.ts";
import { paperModel } from "./experts/models.ts";

describe("a profile that a bench counts", () => {
  // The first block is dense: the layer that is counted first is block 1.
  const model = paperModel({ layers: 3, dense: 1, experts: 4 });
  const counts = [
    [5, 0, 1, 2],
    [0, 8, 0, 0],
  ];

  it("is taken for the model it was counted of, with each layer in the row of its block", () => {
    const written = writeProfile(countedProfile(model, counts, 4));
    const { weights, samples } = checkProfile(parseProfile(written), model);
    expect(weights.map((row) => [...row])).toEqual([[], ...counts]);
    expect(samples).toBe(4);
  });

  it("is refused for another model", () => {
    const written = writeProfile(countedProfile(model, counts, 4));
    const other = paperModel({ layers: 3, dense: 1, experts: 4, inputs: 128 });
    expect(() => checkProfile(parseProfile(written), other)).toThrow("another model");
  });
});
