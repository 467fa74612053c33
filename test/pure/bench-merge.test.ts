import { describe, expect, test } from "vitest";
import { mergeScopes } from "../../bench/merge.ts";
import type { BenchResult, Check, Table } from "../../bench/result.ts";

const table = (id: string, samples: number): Table => ({
  id,
  title: id,
  columns: [],
  rows: [{ name: "one", samples: Array.from({ length: samples }, () => ({})) }],
  moreIsBetter: true,
});
const result = (tables: Table[], checks: Check[]): BenchResult =>
  ({
    scopes: [{ scope: "warm", compares: "", wrongWhen: [], seconds: 1, tables, checks }],
  }) as unknown as BenchResult;

describe("several results", () => {
  test("have each table and figure of the last run that measured it", () => {
    const merged = mergeScopes([
      result([table("a", 1), table("b", 1)], [{ what: "x", value: 1 }]),
      result([table("a", 2), table("b", 0), table("c", 0)], [{ what: "x", value: null }]),
    ]);
    const found = merged.map(({ tables, checks }) => ({
      samples: tables.map(({ id, rows }) => [id, rows[0]?.samples.length]),
      checks,
    }));
    expect(found).toEqual([
      {
        samples: [
          ["a", 2],
          ["b", 1],
          ["c", 0],
        ],
        checks: [{ what: "x", value: 1 }],
      },
    ]);
  });
});
