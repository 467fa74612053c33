/**
 * Writes the figures of one or several results between the markers of bench/README.md, so that none
 * is typed by hand, and draws their plots beside it.
 *
 *     tsx bench/report.ts [--beside] [--section NAME] RESULT.json...
 *
 * With `--beside` nothing but the scopes' own sections is written, and each names its machine and has its
 * own figures to be reached: for runs on another machine than the page's. With `--section large` the section of
 * a scope is `SCOPE-large`, beside the one of the page's machine.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { formatBytes } from "../src/units.ts";
import { renderChecks, renderMachine, renderTable } from "./markdown.ts";
import { mergeScopes } from "./merge.ts";
import { type BenchResult, type ScopeResult, wasMeasured } from "./result.ts";

const README = "bench/README.md";

const { values: flags, positionals: sources } = parseArgs({
  allowPositionals: true,
  options: {
    beside: { type: "boolean", default: false },
    section: { type: "string" },
  },
});
const plots = flags.section === undefined ? "plots" : `plots/${flags.section}`;
const results = sources.map((source) => JSON.parse(readFileSync(source, "utf8")) as BenchResult);
const [first] = results;
if (first === undefined) throw new Error("usage: report.ts [--beside] RESULT.json...");
const machine = renderMachine(first.machine);
if (results.some((result) => renderMachine(result.machine) !== machine)) {
  throw new Error("these results are from different machines");
}

for (const source of sources) {
  execFileSync(process.execPath, ["--import", "tsx", "bench/plot.ts", source, `bench/${plots}`]);
}
const scopes = mergeScopes(results);
let text = readFileSync(README, "utf8");
const facts = [machine, ...results.map(runOf)].join("\n");
if (!flags.beside) {
  text = fill(text, "machine", facts);
  text = fill(text, "checks", renderChecks(scopes.flatMap((scope) => scope.checks)));
}
for (const scope of scopes) {
  const reached = `\n\nThe machine of these figures:\n\n${facts}\n${renderChecks(scope.checks)}`;
  const marker = [scope.scope, flags.section].filter(Boolean).join("-");
  text = fill(text, marker, `${figures(scope)}${flags.beside ? reached : ""}`);
}
writeFileSync(README, text);

function runOf({ settings, startedAt, scopes }: BenchResult): string {
  const names = scopes.map(({ scope }) => scope).join(", ");
  const { bytes, rounds } = settings;
  return `- run of ${startedAt.slice(0, 10)}: ${names}; files of ${formatBytes(bytes)}, ${rounds} rounds`;
}

/** Tables with their plots. */
function figures({ tables, compares, wrongWhen }: ScopeResult): string {
  const wrong = wrongWhen.map((each) => `- ${each}`).join("\n");
  const drawn = tables.map((table) => {
    const plot = wasMeasured(table) ? `\n\n![${table.title}](${plots}/${table.id}.svg)` : "";
    return `${renderTable(table)}${plot}`;
  });
  return `${compares}\n\nIt would be wrong when:\n\n${wrong}\n${drawn.join("\n")}`;
}

/** Replaces what stands between `<!-- NAME -->` and `<!-- /NAME -->`. */
function fill(readme: string, name: string, content: string): string {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [start, end] = [readme.indexOf(open), readme.indexOf(close)];
  if (start < 0 || end < start) throw new Error(`no ${open} … ${close} in the page`);
  return `${readme.slice(0, start + open.length)}\n${content.trim()}\n${readme.slice(end)}`;
}
