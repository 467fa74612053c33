/**
 * Writes the figures of a result between the markers of bench/README.md, so that none is typed by
 * hand, and draws its plots beside it.
 *
 *     tsx bench/report.ts RESULT.json [README]
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { formatBytes } from "../src/units.ts";
import { renderChecks, renderMachine, renderTable } from "./markdown.ts";
import type { BenchResult, ScopeResult } from "./result.ts";

const [source, readme = "bench/README.md"] = process.argv.slice(2);
if (source === undefined) throw new Error("usage: report.ts RESULT.json [README]");
const result = JSON.parse(readFileSync(source, "utf8")) as BenchResult;

const plots = join(dirname(readme), "plots");
execFileSync(process.execPath, ["--import", "tsx", "bench/plot.ts", source, plots]);

let text = readFileSync(readme, "utf8");
text = fill(text, "machine", machine());
text = fill(text, "checks", renderChecks(result.scopes.flatMap((scope) => scope.checks)));
for (const scope of result.scopes) text = fill(text, scope.scope, figures(scope));
writeFileSync(readme, text);

function machine(): string {
  const { settings, startedAt } = result;
  const bytes = formatBytes(settings.bytes);
  const run = `- this run: ${startedAt.slice(0, 10)}, files of ${bytes}, ${settings.rounds} rounds`;
  return `${renderMachine(result.machine)}\n${run}`;
}

/** Tables with their plots. */
function figures({ tables, compares, wrongWhen }: ScopeResult): string {
  const wrong = wrongWhen.map((each) => `- ${each}`).join("\n");
  const drawn = tables.map((table) => {
    const measured = table.rows.some((row) => row.samples.length > 0);
    const plot = measured ? `\n\n![${table.title}](plots/${table.id}.svg)` : "";
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
