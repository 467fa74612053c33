import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planExperts } from "../../../src/experts/plan-experts.ts";
import type { Profile } from "../../../src/experts/profile.ts";
import { selectExperts, slicesOf } from "../../../src/experts/select.ts";
import {
  type ExpertUnit,
  expertNumbers,
  expertSlices,
  slicesOfExpert,
} from "../../../src/experts/slices.ts";
import type { Model, Tensor } from "../../../src/model/model.ts";
import { arbitraryModel, arbitraryRows, paperModel } from "./models.ts";

/** Every page by its number: slow, and without a doubt. */
function pagesTwin(units: readonly ExpertUnit[], pageBytes: number): number {
  const pages = new Set<string>();
  for (const unit of units) {
    for (const { file, offset, byteLength } of slicesOfExpert(unit)) {
      const last = Math.floor((offset + byteLength - 1) / pageBytes);
      for (let page = Math.floor(offset / pageBytes); page <= last; page++) {
        pages.add(`${file}:${page}`);
      }
    }
  }
  return pages.size * pageBytes;
}

const unitsOf = (layer: ExpertUnit["layer"]) =>
  expertNumbers(layer).map((expert) => ({ layer, expert }));
const nameOf = ({ layer, expert }: ExpertUnit) => `${layer.block}.${expert}`;
const names = (units: readonly ExpertUnit[]) => units.map(nameOf);

const profileOf = (weights: readonly Float64Array[]): Profile => ({
  source: "json",
  layers: weights.length,
  experts: 0,
  samples: 100,
  weights,
  model: null,
  inputLengths: new Map(),
  notes: [],
  path: null,
});

const rowsFor = (model: Model) => {
  const layers = expertSlices(model).layers;
  return arbitraryRows((layers.at(-1)?.block ?? 0) + 1, layers[0]?.experts ?? 1);
};

const sizeOf = (model: Model) => model.tensors.reduce((sum, each) => sum + each.byteLength, 0);

const arbitraryCase = arbitraryModel.chain((model) =>
  fc.record({
    model: fc.constant(model),
    profile: fc.option(rowsFor(model).map(profileOf)),
    budgetBytes: fc.integer({ min: 0, max: Math.ceil(1.2 * sizeOf(model)) + 100_000 }),
    coreBytes: fc.integer({ min: 0, max: 100_000 }),
    pageBytes: fc.constantFrom(4096, 16_384, 65_536),
  }),
);

describe("a selection within a budget", () => {
  test("never exceeds it, page by page, over models, profiles and budgets", () => {
    fc.assert(
      fc.property(arbitraryCase, ({ model, profile, ...budget }) => {
        const { layers } = expertSlices(model);
        const { chosen, residentBytes } = selectExperts(layers, profile, budget);
        const pages = pagesTwin(chosen, budget.pageBytes);
        expect(residentBytes).toBe(pages);
        if (chosen.length > 0) {
          expect(budget.coreBytes + pages).toBeLessThanOrEqual(budget.budgetBytes);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("leaves out no expert for which there is room, neighbours apart", () => {
    fc.assert(
      fc.property(arbitraryCase, ({ model, profile, ...budget }) => {
        const { layers } = expertSlices(model);
        const { chosen, residentBytes } = selectExperts(layers, profile, budget);
        const taken = new Set(names(chosen));
        const room = budget.budgetBytes - budget.coreBytes;
        for (const unit of layers.flatMap(unitsOf)) {
          if (taken.has(nameOf(unit))) continue;
          expect(residentBytes + pagesTwin([unit], budget.pageBytes)).toBeGreaterThan(room);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("accounts for every byte of the experts once", () => {
    fc.assert(
      fc.property(arbitraryCase, ({ model, profile, ...budget }) => {
        const { layers } = expertSlices(model);
        const selection = selectExperts(layers, profile, budget);
        const all = layers.reduce((sum, { byteLength }) => sum + byteLength, 0);
        expect(selection.bytes + selection.leftOutBytes).toBe(all);
        const slices = [...slicesOf(selection)];
        expect(slices.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBe(selection.bytes);
        expect(selection.total).toBe(layers.flatMap(unitsOf).length);
      }),
    );
  });

  test("has each expert at most once, the heaviest by the byte first", () => {
    fc.assert(
      fc.property(arbitraryModel, (model) => {
        const { layers } = expertSlices(model);
        const weights: Float64Array[] = [];
        for (const { block, experts } of layers) {
          weights[block] = Float64Array.from({ length: experts }, (_, e) => ((e * 7) % 5) + 1);
        }
        const { chosen } = selectExperts(layers, profileOf(weights), {
          budgetBytes: Number.POSITIVE_INFINITY,
          coreBytes: 0,
          pageBytes: 4096,
        });
        expect(new Set(names(chosen)).size).toBe(chosen.length);
        const density = chosen.map((unit) => {
          const bytes = slicesOfExpert(unit).reduce((sum, { byteLength }) => sum + byteLength, 0);
          return (weights[unit.layer.block]?.[unit.expert] ?? 0) / bytes;
        });
        expect(density).toEqual([...density].sort((a, b) => b - a));
      }),
    );
  });

  const budget = (experts: number) => ({
    budgetBytes: 4096 * 100 + experts * 3 * 8192,
    coreBytes: 4096 * 100,
    pageBytes: 4096,
  });
  // Slices of two whole pages, so that bytes are easy to tell.
  const model = paperModel({ layers: 2, experts: 4, sliceBytes: 8192 });
  const aligned: Model = {
    ...model,
    tensors: model.tensors.map((tensor, index) => ({ ...tensor, offset: index * 40_960 })),
  };

  test("without a profile goes by layers and experts", () => {
    const { layers } = expertSlices(aligned);
    expect(names(selectExperts(layers, null, budget(5)).chosen)).toEqual([
      "0.0",
      "0.1",
      "0.2",
      "0.3",
      "1.0",
    ]);
  });

  test("by a profile goes by weight, and ties by layer, then by expert", () => {
    const { layers } = expertSlices(aligned);
    const rows = [Float64Array.of(1, 5, 3, 3), Float64Array.of(3, 9, 0, 0)];
    expect(names(selectExperts(layers, profileOf(rows), budget(5)).chosen)).toEqual([
      "1.1",
      "0.1",
      "0.2",
      "0.3",
      "1.0",
    ]);
  });

  test("ranks experts of which nothing is known between the hot and the cold", () => {
    const { layers } = expertSlices(aligned);
    const rows = [Float64Array.of(0, 8, 0, 0)];
    expect(names(selectExperts(layers, profileOf(rows), budget(5)).chosen)).toEqual([
      "0.1",
      "1.0",
      "1.1",
      "1.2",
      "1.3",
    ]);
  });

  test("has nothing when the core alone exceeds the budget", () => {
    const { layers } = expertSlices(aligned);
    const selection = selectExperts(layers, null, { ...budget(0), budgetBytes: 4096 });
    expect(selection).toMatchObject({ chosen: [], bytes: 0, residentBytes: 0 });
  });

  test("counts a slice that several experts share once", () => {
    const tensor = (name: string, experts: number, offset: number): Tensor => ({
      name,
      file: 0,
      offset,
      byteLength: experts * 4096,
      dtype: "F16",
      shape: [32, 64, experts],
    });
    const tensors = [
      tensor("blk.0.ffn_up_exps.weight", 4, 0),
      tensor("blk.0.ffn_up_chexps.weight", 1, 4 * 4096),
    ];
    const { layers } = expertSlices({ tensors });
    const selection = selectExperts(layers, null, {
      budgetBytes: 5 * 4096,
      coreBytes: 0,
      pageBytes: 4096,
    });
    expect(selection.chosen).toHaveLength(4);
    expect(selection).toMatchObject({ bytes: 5 * 4096, residentBytes: 5 * 4096, leftOutBytes: 0 });
    expect([...slicesOf(selection)]).toHaveLength(5);
  });

  test.each([Number.NaN, -1])("refuses a budget of %s", (budgetBytes) => {
    const { layers } = expertSlices(aligned);
    expect(() => selectExperts(layers, null, { ...budget(1), budgetBytes })).toThrow(
      expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }),
    );
  });

  test("is empty below one token's cycle, and says what was left out", () => {
    const plan = planExperts(aligned, null, budget(2));
    expect(plan.verdict.worth).toBe("core only");
    expect(plan.experts).toEqual({ total: 8, whole: 0, coverage: null });
    expect(plan.selection).toMatchObject({ chosen: [], bytes: 0, leftOutBytes: 8 * 3 * 8192 });
  });
});
