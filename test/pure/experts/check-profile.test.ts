import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkProfile } from "../../../src/experts/check-profile.ts";
import { findImatrix } from "../../../src/experts/find-imatrix.ts";
import { fingerprint, modelIdentity } from "../../../src/experts/identity.ts";
import type { Profile } from "../../../src/experts/profile.ts";
import { parseProfile, writeProfile } from "../../../src/experts/profile-json.ts";
import { readProfile } from "../../../src/experts/read-profile.ts";
import { snapshotProfile } from "../../../src/experts/record.ts";
import type { Model } from "../../../src/model/model.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";
import { oldImatrix, writeImatrix } from "../../models/imatrix.ts";
import { paperModel } from "./models.ts";

const refusal = (message: RegExp) =>
  expect.objectContaining({
    code: "PREFAULT_INVALID_OPTION",
    message: expect.stringMatching(message),
  });

const row = (experts: number) => Array.from({ length: experts }, (_, expert) => expert + 1);

const profile = (source: Profile["source"], weights: readonly (readonly number[])[]): Profile => ({
  source,
  layers: weights.length,
  experts: 0,
  samples: 10,
  weights: weights.map((each) => Float64Array.from(each)),
  model: null,
  inputLengths: new Map(),
  notes: [],
  path: "/some/profile",
});

const rows = ({ weights }: Profile) => weights.map((each) => [...each]);

describe("a profile fits a model", () => {
  test("of as many layers and experts, dense ones in front included", () => {
    const model = paperModel({ layers: 3, experts: 4, dense: 1 });
    const fitted = checkProfile(profile("imatrix", [[], row(4), row(4)]), model);
    expect(rows(fitted)).toEqual([[], row(4), row(4)]);
    expect(fitted.model).toEqual(modelIdentity(model));
    expect(rows(parseProfile(writeProfile(fitted)))).toEqual(rows(fitted));
  });

  test("when blocks that predict further tokens are missing from an imatrix", () => {
    const model = paperModel({ layers: 2, experts: 4, mtp: 1 });
    const fitted = checkProfile(profile("imatrix", [row(4), row(4)]), model);
    expect(rows(fitted)).toEqual([row(4), row(4), []]);
  });

  test("when a CSV lists some of the experts, and the others count nothing", () => {
    const model = paperModel({ layers: 2, experts: 4 });
    expect(rows(checkProfile(profile("csv", [[0, 5]]), model))).toEqual([
      [0, 5, 0, 0],
      [0, 0, 0, 0],
    ]);
  });

  test("of other types, and with the blocks for further tokens stripped", () => {
    const recorded = snapshotProfile(paperModel({ experts: 4, mtp: 1, dtype: "Q4_K" }), [
      ...Array.from({ length: 3 }, () => [1, 0, 0.5, 0]),
      [1, 1, 1, 1],
    ]);
    const other = paperModel({ experts: 4, dtype: "Q8_0", sliceBytes: 20_000 });
    const fitted = checkProfile(parseProfile(writeProfile(recorded)), other);
    expect(fitted.weights).toHaveLength(3);
    expect(fitted.model).toEqual(modelIdentity(other));
  });
});

describe("a profile of another model is refused, and says why", () => {
  const model = paperModel({ layers: 3, experts: 4, dense: 1 });
  test.each<[string, Profile, RegExp]>([
    [
      "more layers",
      profile("imatrix", [[], row(4), row(4), row(4)]),
      /experts of block 3, and the model has them in blocks 1 to 2/,
    ],
    ["a layer that is dense here", profile("imatrix", [row(4), row(4), row(4)]), /of block 0/],
    ["a layer less", profile("imatrix", [[], row(4)]), /no counts for block 2/],
    ["other experts", profile("imatrix", [[], row(8), row(8)]), /has 8 experts in block 1.* 4/],
    ["an expert too many", profile("csv", [[], row(5)]), /has expert 4 in block 1.* 4/],
  ])("%s", (_, other, message) => {
    expect(() => checkProfile(other, model)).toThrow(refusal(message));
  });

  test.each<[string, Model, RegExp]>([
    ["layers", paperModel({ layers: 4, experts: 4, dense: 1 }), /with 4 layers, .* has 3/],
    ["experts", paperModel({ layers: 3, experts: 8, dense: 1 }), /with 8 experts a layer, .* 4/],
    [
      "architecture",
      paperModel({ layers: 3, experts: 4, dense: 1, architecture: "glm4moe" }),
      /another architecture or size \(fingerprint/,
    ],
    ["size", paperModel({ layers: 3, experts: 4, dense: 1, inputs: 128 }), /fingerprint/],
  ])("our JSON, by its %s", (_, other, message) => {
    const recorded = snapshotProfile(other, []);
    expect(() => checkProfile(recorded, model)).toThrow(refusal(message));
  });

  test("an imatrix, by the lengths of its rows", () => {
    const counts = {
      ...profile("imatrix", [[], row(4), row(4)]),
      inputLengths: new Map([["blk.1.ffn_gate_exps.weight", 99]]),
    };
    expect(() => checkProfile(counts, model)).toThrow(refusal(/rows of 99 there, and of 64 here/));
  });

  test("any, by a dense model", () => {
    const dense = paperModel({ layers: 2, dense: 2 });
    expect(() => checkProfile(profile("csv", [[1]]), dense)).toThrow(refusal(/no routed experts/));
  });
});

describe("a fingerprint", () => {
  const model = paperModel();
  test("does not change with types, sizes, places and blocks for further tokens", () => {
    for (const same of [
      paperModel({ dtype: "Q2_K", sliceBytes: 77 }),
      paperModel({ gap: 500, files: 2 }),
      paperModel({ mtp: 1 }),
    ]) {
      expect(fingerprint(same)).toBe(fingerprint(model));
    }
  });

  test("does not change when gate and up are one tensor", () => {
    const merged = {
      ...model,
      tensors: model.tensors
        .filter(({ name }) => !name.includes("ffn_up_exps"))
        .map((tensor) =>
          tensor.name.includes("ffn_gate_exps")
            ? {
                ...tensor,
                name: tensor.name.replace("gate", "gate_up"),
                shape: [tensor.shape[0] ?? 0, 2 * (tensor.shape[1] ?? 0), tensor.shape[2] ?? 0],
              }
            : tensor,
        ),
    };
    expect(fingerprint(merged)).toBe(fingerprint(model));
  });

  test("changes with everything that decides what a router can choose", () => {
    const others = [
      paperModel({ layers: 4 }),
      paperModel({ experts: 9 }),
      paperModel({ dense: 1 }),
      paperModel({ inputs: 65 }),
      paperModel({ architecture: "deepseek2" }),
    ];
    expect(new Set([model, ...others].map((each) => fingerprint(each))).size).toBe(6);
  });

  // What it is made of must not change unnoticed: recorded profiles would be refused.
  test("stays what it was", () => {
    expect(fingerprint(model)).toBe("6f0aeea1a4ea710b");
  });
});

describe("an imatrix beside a model", () => {
  const counts = (experts: number) =>
    [0, 1, 2].map((block) => ({
      name: `blk.${block}.ffn_gate_exps.weight`,
      inputs: 64,
      counts: row(experts),
    }));
  const blobs = temporaryFolder();
  let blob = 0;
  const at = async (path: string, experts = 8) => {
    // As the cache of Hugging Face's hub keeps them: links into another folder.
    const written = join(blobs, `${blob++}.gguf`);
    await writeImatrix({ path: written, tensors: counts(experts) });
    symlinkSync(written, path);
  };

  test("is found under its publisher's names, the likeliest first", async () => {
    const folder = temporaryFolder();
    await at(join(folder, "imatrix_unsloth.gguf_file"));
    await at(join(folder, "Big-MoE.imatrix.gguf"));
    await at(join(folder, "Other-imatrix.gguf"));
    await at(join(folder, "Wrong.imatrix.gguf"), 4);
    writeFileSync(join(folder, "imatrix.dat"), oldImatrix(["blk.0.attn_q.weight"]));
    writeFileSync(join(folder, "Big-MoE.imatrix"), "not one");
    const offers = await findImatrix(join(folder, "Big-MoE.Q4_K_M.gguf"), paperModel());
    expect(offers.map(({ path }) => path)).toEqual(
      ["Big-MoE.imatrix.gguf", "Other-imatrix.gguf", "imatrix_unsloth.gguf_file"].map((name) =>
        join(folder, name),
      ),
    );
    const [first] = offers;
    const found = await readProfile(first?.path ?? "");
    expect(checkProfile(found, paperModel()).layers).toBe(3);
  });

  test("is found in the folder above, and by the name in the model", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "UD-Q4_K_XL"));
    await at(join(folder, "mine.bin"));
    const metadata = { "quantize.imatrix.file": "C:\\models\\out/mine.bin" };
    const model = { ...paperModel(), metadata: { ...paperModel().metadata, ...metadata } };
    const offers = await findImatrix(join(folder, "UD-Q4_K_XL", "m.gguf"), model);
    expect(offers).toMatchObject([{ isNamedByModel: true }]);
  });

  test.each(["../secret/x.gguf", "/etc/passwd", "..", ".", "", "a\0b", "..\\x.gguf"])(
    "is not looked for elsewhere when a model names %j",
    async (named) => {
      const outer = temporaryFolder();
      const folder = join(outer, "a", "b");
      mkdirSync(join(outer, "secret"));
      mkdirSync(folder, { recursive: true });
      await at(join(outer, "x.gguf"));
      await at(join(outer, "secret", "x.gguf"));
      const metadata = { ...paperModel().metadata, "quantize.imatrix.file": named };
      expect(await findImatrix(join(folder, "m.gguf"), { ...paperModel(), metadata })).toEqual([]);
    },
  );

  test("is not found where there is no folder", async () => {
    expect(await findImatrix("/nowhere/at/all/m.gguf", paperModel())).toEqual([]);
  });
});
