import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Profile } from "../../../src/experts/profile.ts";
import { parseProfile, writeProfile } from "../../../src/experts/profile-json.ts";
import { readProfile } from "../../../src/experts/read-profile.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";
import { arbitraryRows } from "./models.ts";

const folder = temporaryFolder();
let files = 0;
const fresh = (suffix: string) => join(folder, `${files++}${suffix}`);

function file(bytes: string | Buffer, suffix = ".any"): string {
  const path = fresh(suffix);
  writeFileSync(path, bytes);
  return path;
}

const rows = ({ weights }: Profile) => weights.map((row) => [...row]);
const refusal = (message: RegExp) =>
  expect.objectContaining({
    name: "PrefaultError",
    code: "PREFAULT_INVALID_OPTION",
    message: expect.stringMatching(message),
  });

const valid = {
  format: "prefault-profile",
  version: 1,
  model: { layers: 2, experts: 3, tensors: 3, fingerprint: "0123456789abcdef" },
  samples: 10,
  weights: [[], [1, 2.5, 0]],
};

describe("the package's own JSON", () => {
  test("is read by content", async () => {
    const profile = await readProfile(file(` \n\uFEFF${JSON.stringify(valid)}`.trim(), ".dat"));
    expect(rows(profile)).toEqual(valid.weights);
    expect(profile).toMatchObject({ source: "json", samples: 10, model: valid.model });
  });

  test("comes again as it was written, and as the same text", () => {
    fc.assert(
      fc.property(
        arbitraryRows(4, 6),
        fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 1e9 })),
        (weights, samples) => {
          const model = { layers: 4, experts: 6, tensors: 12, fingerprint: "abc" };
          const profile = { ...parseProfile(JSON.stringify(valid)), model, weights, samples };
          const text = writeProfile(profile);
          const again = parseProfile(text);
          expect(again.weights).toEqual(weights);
          expect(again).toMatchObject({ model, samples, layers: 4, experts: 6 });
          expect(writeProfile(again)).toBe(text);
        },
      ),
    );
  });

  test("has a fixed form", () => {
    expect(writeProfile(parseProfile(JSON.stringify(valid)))).toBe(
      [
        "{",
        '  "format": "prefault-profile",',
        '  "version": 1,',
        '  "model": {"layers":2,"experts":3,"tensors":3,"fingerprint":"0123456789abcdef"},',
        '  "samples": 10,',
        '  "weights": [',
        "    [],",
        "    [1,2.5,0]",
        "  ]",
        "}",
        "",
      ].join("\n"),
    );
  });

  test("is not written of a model that nobody knows", async () => {
    const profile = await readProfile(file("0,0,1"));
    expect(() => writeProfile(profile)).toThrow(
      expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }),
    );
  });

  test.each<[string, unknown, RegExp]>([
    ["of another format", { ...valid, format: "x" }, /its "format" is "x"/],
    ["without a format", { a: 1 }, /its "format" is missing/],
    ["of a later version", { ...valid, version: 2 }, /its "version" is 2/],
    ["without a model", { ...valid, model: null }, /its "model" needs/],
    ["of a broken model", { ...valid, model: { ...valid.model, layers: -1 } }, /"model" needs/],
    ["with too few rows", { ...valid, weights: [[]] }, /a row for each of 2 layers/],
    ["with a row too long", { ...valid, weights: [[], [1, 2, 3, 4]] }, /row 1 of its "weights"/],
    ["with a negative weight", { ...valid, weights: [[], [-1]] }, /row 1/],
    ["with a text for a weight", { ...valid, weights: [["1"], []] }, /row 0/],
    ["with no samples", { ...valid, samples: undefined }, /"samples" is missing/],
    ["with negative samples", { ...valid, samples: -1 }, /"samples" is -1/],
    ["that is a list", [valid], /not of this package/],
  ])("%s is refused", async (_, value, message) => {
    await expect(readProfile(file(JSON.stringify(value)))).rejects.toThrow(refusal(message));
  });

  test.each([
    ["cut off", JSON.stringify(valid).slice(0, -5), /cannot be parsed/],
    ["with a weight past any number", JSON.stringify(valid).replace("2.5", "1e999"), /row 1/],
    ["nested without end", `{"weights":${"[".repeat(8_000_000)}`, /nested/],
    ["of more than any profile has", `{"a":"${"x".repeat(9_000_000)}"}`, /more than any profile/],
  ])("%s is refused", async (_, text, message) => {
    await expect(readProfile(file(text))).rejects.toThrow(refusal(message));
  });
});
