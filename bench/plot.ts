/**
 * Draws the first column of each table of a result as an SVG: its median as a bar and every round as a dot, or
 * a line over time.
 *
 *     tsx bench/plot.ts RESULT.json FOLDER
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { type BenchResult, type Column, median, type Table, valuesOf } from "./result.ts";

const [source, folder] = process.argv.slice(2);
if (source === undefined || folder === undefined) {
  throw new Error("usage: plot.ts RESULT.json FOLDER");
}
/** The name of a line stands where it ends. */
const BESIDE_END = { textAnchor: "start", dx: 4, fill: "name" } as const;

const { document } = parseHTML("<html><body></body></html>");
const { scopes } = JSON.parse(readFileSync(source, "utf8")) as BenchResult;
mkdirSync(folder, { recursive: true });
for (const table of scopes.flatMap((scope) => scope.tables)) {
  const svg = draw(table);
  if (svg !== null) writeFileSync(join(folder, `${table.id}.svg`), svg);
}

function draw(table: Table): string | null {
  const [column] = table.columns;
  if (column === undefined) return null;
  return table.over === undefined ? bars(table, column) : lines(table, column, table.over);
}

function bars({ title, rows, moreIsBetter }: Table, column: Column): string | null {
  const dots = rows.flatMap((row) =>
    valuesOf(row, column.key).map((value) => ({ name: row.name, value })),
  );
  if (dots.length === 0) return null;
  const names = rows.map((row) => row.name).filter((name) => dots.some((dot) => dot.name === name));
  const medians = names.map((name) => ({
    name,
    value: median(dots.flatMap((dot) => (dot.name === name ? dot.value : []))),
  }));
  const direction = moreIsBetter ? "more is better" : "less is better";
  return svgOf(title, {
    marginLeft: 12 + 6.2 * Math.max(...names.map((name) => name.length)),
    x: { label: `${column.title} (${direction}) →`, grid: true, nice: true },
    y: { domain: names, label: null },
    marks: [
      Plot.barX(medians, {
        x: "value",
        y: "name",
        fill: (bar: { name: string }) => (bar.name.startsWith("prefault") ? "#2f6f9f" : "#b8c4cc"),
        inset: 2,
      }),
      Plot.dot(dots, { x: "value", y: "name", r: 2.5, fill: "black", fillOpacity: 0.5 }),
      Plot.ruleX([0]),
    ],
  });
}

/** One line a row; its name stands where it ends. */
function lines({ title, rows }: Table, y: Column, x: Pick<Column, "key" | "title">): string | null {
  const points = rows.flatMap(({ name, samples }) =>
    samples.map((sample) => ({ name, x: sample[x.key], y: sample[y.key] })),
  );
  if (points.length === 0) return null;
  return svgOf(title, {
    color: { scheme: "dark2" },
    marginRight: 12 + 6.2 * Math.max(...rows.map(({ name }) => name.length)),
    x: { label: `${x.title} →` },
    y: { label: `↑ ${y.title}`, grid: true, zero: true },
    marks: [
      Plot.lineY(points, { x: "x", y: "y", stroke: "name" }),
      Plot.text(
        points,
        Plot.selectLast({ x: "x", y: "y", z: "name", text: "name", ...BESIDE_END }),
      ),
      Plot.ruleY([0]),
    ],
  });
}

function svgOf(title: string, { marks = [], ...options }: Plot.PlotOptions): string {
  const plot = Plot.plot({
    document: document as unknown as Document,
    marginTop: 34,
    marginRight: 30,
    width: 760,
    // The SVG stands alone on a light or a dark page.
    style: { background: "white", color: "black" },
    ...options,
    marks: [
      ...marks,
      Plot.text([title], { frameAnchor: "top-left", dy: -26, fontWeight: "bold", fontSize: 13 }),
    ],
  });
  plot.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return plot.outerHTML;
}
