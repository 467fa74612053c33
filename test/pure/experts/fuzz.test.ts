import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PrefaultError } from "../../../src/errors.ts";
import { checkProfile } from "../../../src/experts/check-profile.ts";
import { planExperts } from "../../../src/experts/plan-experts.ts";
import { writeProfile } from "../../../src/experts/profile-json.ts";
import { readProfile } from "../../../src/experts/read-profile.ts";
import { snapshotProfile } from "../../../src/experts/record.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";
import { oldImatrix, writeImatrix } from "../../models/imatrix.ts";
import { mutate } from "../../robustness/fuzz/mutate.ts";
import { Random } from "../../robustness/random.ts";
import { paperModel } from "./models.ts";

const folder = temporaryFolder();
const model = paperModel({ layers: 2, experts: 4 });
const budget = { budgetBytes: 120_000, coreBytes: 0, pageBytes: 4096 };

const imatrixPath = join(folder, "seed.gguf");
await writeImatrix({
  path: imatrixPath,
  tensors: [0, 1].flatMap((block) =>
    ["gate", "up", "down"].map((part) => ({
      name: `blk.${block}.ffn_${part}_exps.weight`,
      inputs: 64,
      counts: [1, 2, 3, 4],
    })),
  ),
});

const seeds: Readonly<Record<string, Buffer>> = {
  imatrix: readFileSync(imatrixPath),
  csv: Buffer.from("layer,expert,count\n0,0,5\n0,1,2\n# x\n1,3,1\n"),
  json: Buffer.from(
    writeProfile(
      snapshotProfile(model, [
        [1, 0, 0.5, 0],
        [0, 1, 1, 0.25],
      ]),
    ),
  ),
  dat: oldImatrix(["blk.0.ffn_gate_exps.weight", "blk.1.attn_q.weight"]),
};

/** Reads and uses whatever a file says, which works or ends in this package's own error. */
async function use(bytes: Buffer): Promise<void> {
  const path = join(folder, "input");
  writeFileSync(path, bytes);
  try {
    const profile = checkProfile(await readProfile(path), model);
    const { selection, verdict } = planExperts(model, profile, budget);
    expect(selection.residentBytes).toBeLessThanOrEqual(budget.budgetBytes);
    for (const share of [verdict.coverage, verdict.uniform, verdict.unranked]) {
      if (share !== null) expect(share >= 0 && share <= 1).toBe(true);
    }
  } catch (error) {
    if (!PrefaultError.is(error)) throw error;
    expect(error.code).toMatch(/^PREFAULT_(INVALID_OPTION|NOT_A_FILE)$/);
    expect(error.message.length).toBeLessThan(2000);
  }
}

describe("a hostile profile is used or refused, and nothing else", () => {
  test.each(Object.keys(seeds))("made of a sound %s", async (kind) => {
    const sound = seeds[kind] ?? Buffer.alloc(0);
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => use(mutate(sound, new Random(seed)))),
      { numRuns: 100 },
    );
  });

  test("made of anything", async () => {
    const prefix = fc.constantFrom("", "GGUF", "{", "PK\x03\x04", "layer,expert\n", "\xff\xfe");
    await fc.assert(
      fc.asyncProperty(prefix, fc.uint8Array({ maxLength: 300 }), async (start, rest) =>
        use(Buffer.concat([Buffer.from(start, "latin1"), rest])),
      ),
      { numRuns: 100 },
    );
  });

  test("made of JSON that looks like ours", async () => {
    const number = fc.oneof(fc.double(), fc.integer(), fc.constant(null), fc.constant("1"));
    const value = fc.record(
      {
        format: fc.constantFrom("prefault-profile", "x"),
        version: fc.constantFrom(1, 2, "1"),
        model: fc.oneof(
          fc.record({
            layers: number,
            experts: number,
            tensors: number,
            fingerprint: fc.string(),
          }),
          fc.constant({ layers: 2, experts: 4, tensors: 6, fingerprint: "x" }),
          fc.jsonValue(),
        ),
        samples: number,
        weights: fc.oneof(fc.array(fc.array(number)), fc.jsonValue()),
      },
      { requiredKeys: ["format"] },
    );
    await fc.assert(
      fc.asyncProperty(value, async (each) => use(Buffer.from(JSON.stringify(each)))),
      { numRuns: 100 },
    );
  });
});
