import { RATIO, type Unit, unitNamed, unitOfTitle } from "./units.ts";

/** A column of a table on the benches' page. */
export interface Column {
  readonly title: string;
  readonly unit: Unit;
  /** In this unit, without the least and the most that stand in brackets behind each. */
  readonly medians: readonly number[];
}

export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
}

/** The tables between `<!-- NAME -->` and `<!-- /NAME -->`, where `bench/report.ts` writes, by name. */
export type Sections = ReadonlyMap<string, readonly Table[]>;

const SECTION = /^<!-- ([\w-]+) -->\n([\s\S]*?)^<!-- \/\1 -->$/gm;

export function sectionsOf(page: string): Sections {
  return new Map(
    [...page.matchAll(SECTION)].map(({ 1: name = "", 2: text = "" }) => [
      name,
      [...tablesOf(text), ...machineOf(text)],
    ]),
  );
}

function tablesOf(text: string): Table[] {
  return [...text.matchAll(/(?:^\|.*\n?)+/gm)].map(({ 0: lines, index }) => {
    const [head = [], , ...rows] = lines.trim().split("\n").map(cellsOf);
    // A table of what was to be reached has a title of its own: its first column's.
    const heading = text.slice(0, index).match(/^### .*$/gm);
    const title = head[0] || (heading?.at(-1)?.slice("### ".length) ?? "");
    const columns = head.slice(1).map((name, at) => ({
      title: name,
      unit: unitOfTitle(name),
      medians: rows.map((row) => Number.parseFloat(row[at + 1] ?? "")).filter(Number.isFinite),
    }));
    return { title, columns };
  });
}

function cellsOf(line: string): string[] {
  const cells = line.split("|").map((cell) => cell.trim());
  return cells.slice(1, -1);
}

/** The memory, the kernel, and the size of the files: pages say on what they measured. */
function machineOf(text: string): Table[] {
  const facts = text.match(/^- (?:memory|system|run of)\b.*$/gm) ?? [];
  const columns = [...facts.join("\n").matchAll(/(\d+\.\d+)(?: ([KMG]iB))?/g)].map(
    ({ 1: number = "", 2: unit = "" }) => ({
      title: "",
      unit: unitNamed(unit) ?? RATIO,
      medians: [Number(number)],
    }),
  );
  return columns.length > 0 ? [{ title: "machine", columns }] : [];
}
