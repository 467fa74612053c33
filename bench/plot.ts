/**
 * Draws each table of a result as an SVG: the median of its first column as a bar, every round as a
 * dot.
 *
 *     tsx bench/plot.ts RESULT.json FOLDER
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { type BenchResult, median, type Table, valuesOf } from "./result.ts";

const [source, folder] = process.argv.slice(2);
if (source === undefined || folder === undefined) {
  throw new Error("usage: plot.ts RESULT.json FOLDER");
}
const { document } = parseHTML("<html><body></body></html>");
const { scopes } = JSON.parse(readFileSync(source, "utf8")) as BenchResult;
mkdirSync(folder, { recursive: true });
for (const table of scopes.flatMap((scope) => scope.tables)) {
  const svg = draw(table);
  if (svg !== null) writeFileSync(join(folder, `${table.id}.svg`), svg);
}

function draw({ title, columns, rows, moreIsBetter }: Table): string | null {
  const [column] = columns;
  if (column === undefined) return null;
  const dots = rows.flatMap((row) =>
    valuesOf(row, column.key).map((value) => ({ name: row.name, value })),
  );
  if (dots.length === 0) return null;
  const names = rows.map((row) => row.name).filter((name) => dots.some((dot) => dot.name === name));
  const bars = names.map((name) => ({
    name,
    value: median(dots.flatMap((dot) => (dot.name === name ? dot.value : []))),
  }));
  const direction = moreIsBetter ? "more is better" : "less is better";
  const plot = Plot.plot({
    document: document as unknown as Document,
    marginLeft: 12 + 6.2 * Math.max(...names.map((name) => name.length)),
    marginTop: 34,
    marginRight: 30,
    width: 760,
    // The SVG stands alone on a light or a dark page.
    style: { background: "white", color: "black" },
    x: { label: `${column.title} (${direction}) →`, grid: true, nice: true },
    y: { domain: names, label: null },
    marks: [
      Plot.barX(bars, {
        x: "value",
        y: "name",
        fill: (bar: { name: string }) => (bar.name.startsWith("prefault") ? "#2f6f9f" : "#b8c4cc"),
        inset: 2,
      }),
      Plot.dot(dots, { x: "value", y: "name", r: 2.5, fill: "black", fillOpacity: 0.5 }),
      Plot.ruleX([0]),
      Plot.text([title], { frameAnchor: "top-left", dy: -26, fontWeight: "bold", fontSize: 13 }),
    ],
  });
  plot.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return plot.outerHTML;
}
