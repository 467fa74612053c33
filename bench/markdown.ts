import { formatBytes } from "../src/units.ts";
import type { Machine } from "./machine.ts";
import {
  type Check,
  type Column,
  median,
  type Row,
  reached,
  type ScopeResult,
  type Table,
  valuesOf,
} from "./result.ts";

/** The machine as a list: no figure means anything without it. */
export function renderMachine(machine: Machine): string {
  const yesNo = (value: boolean | null) => (value === null ? "unknown" : value ? "yes" : "no");
  const { pageFaultMicroseconds: fault } = machine;
  const facts: [string, string | null][] = [
    ["processor", `${machine.cpu}, ${machine.cores} cores`],
    ["memory", formatBytes(machine.memoryBytes)],
    ["system", `${machine.platform}, kernel ${machine.kernel}, Node ${machine.node}`],
    ["file system", machine.fileSystem],
    ["read-ahead", machine.readAheadKb === null ? "unknown" : `${machine.readAheadKb} KiB`],
    ["rotational", yesNo(machine.rotational)],
    ["transparent huge pages", machine.transparentHugePages ?? "unknown"],
    ["under a hypervisor", yesNo(machine.hypervisor)],
    ["a page fault", fault === undefined ? null : `about ${fault} µs`],
    ["DAMON pages out idle memory", yesNo(machine.damonPageOut)],
  ];
  const known = facts.filter(([, value]) => value !== null);
  return known.map(([name, value]) => `- ${name}: ${value}`).join("\n");
}

export function renderScope(result: ScopeResult): string {
  const { scope, compares, wrongWhen, tables, checks } = result;
  return [
    `\n## ${scope}\n\n${compares}\n\nWrong when:`,
    wrongWhen.map((each) => `- ${each}`).join("\n"),
    ...tables.map(renderTable),
    ...(checks.length > 0 ? [renderChecks(checks)] : []),
  ].join("\n");
}

/** Medians, and the least and the most of the rounds in brackets. */
export function renderTable({ title, columns, rows, over }: Table): string {
  const shown = columns.filter(({ key }) => rows.some((row) => valuesOf(row, key).length > 0));
  const head = ["", ...shown.map((column) => column.title)];
  const body = rows.map((row) =>
    row.skipped === undefined
      ? [row.name, ...shown.map((column) => cell(row, column))]
      : [row.name, `*${row.skipped.split("\n")[0]}*`, ...shown.slice(1).map(() => "")],
  );
  const rounds = Math.max(0, ...rows.map((row) => row.samples.length));
  const rule = ["---", ...shown.map(() => "---:")];
  const lines = [head, rule, ...body].map((cells) => `| ${cells.join(" | ")} |`);
  return `\n### ${title}\n\nMedian of ${rounds} ${over ? "looks" : "rounds"} (least to most).\n\n${lines.join("\n")}`;
}

function cell(row: Row, { key, digits = 2 }: Column): string {
  const values = valuesOf(row, key).filter(Number.isFinite);
  if (values.length === 0) return "";
  const show = (value: number) => value.toFixed(digits);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  if (show(least) === show(most)) return show(least);
  return `${show(median(values))} (${show(least)}–${show(most)})`;
}

export function renderChecks(checks: readonly Check[]): string {
  const lines = checks.map((check) => {
    const { what, value, atLeast, atMost } = check;
    const target = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`;
    const verdict = { true: "yes", false: "**no**", null: "not measured" }[`${reached(check)}`];
    return `| ${what} | ${value === null ? "" : value.toFixed(2)} | ${target} | ${verdict} |`;
  });
  return `\n| to be reached | measured | target | reached |\n| --- | ---: | ---: | --- |\n${lines.join("\n")}`;
}
