import type { Sections, Table } from "./bench-tables.ts";
import { type Block, blank, blocksOf } from "./blocks.ts";
import { type Figure, figuresOf, isMeasured, isTraced, nearest, roundsTo } from "./figures.ts";

export interface Page {
  readonly file: string;
  readonly text: string;
}

/** Words of a page with a figure that no bench measures. */
export interface Exception {
  readonly file: string;
  readonly phrase: string;
  readonly reason: string;
}

/** A phrase may be wrapped anywhere. */
export function patternOf({ phrase }: Exception): RegExp {
  const words = phrase.split(" ").map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(words.join("\\s+"), "g");
}

/** Each figure of a page that is in none of the tables that its text names, and each that names none. */
export function problemsOf(
  { file, text }: Page,
  sections: Sections,
  exceptions: readonly Exception[],
): string[] {
  const checked = exceptions
    .filter((exception) => exception.file === file)
    .reduce((left, exception) => left.replace(patternOf(exception), blank), text);
  return blocksOf(checked).flatMap((block) => {
    const problems =
      block.sources === undefined
        ? withoutSources(block)
        : withSources(block, block.sources, sections);
    return problems.map(({ line, problem }) => `${file}:${line}: ${problem}`);
  });
}

interface Problem {
  readonly line: number;
  readonly problem: string;
}

function withoutSources(block: Block): Problem[] {
  return figuresOf(block.text)
    .filter(isMeasured)
    .map((figure) => ({
      line: lineOf(figure, block),
      problem: `${figure.shown} is measured, and no <!-- figures: SECTION --> above it says where`,
    }));
}

function withSources(block: Block, sources: readonly string[], sections: Sections): Problem[] {
  const named = sources.map((source) => ({ source, tables: tablesNamed(source, sections) }));
  const unknown = named.filter(({ tables }) => tables === undefined);
  if (unknown.length > 0) {
    return unknown.map(({ source }) => ({
      line: block.line,
      problem: `bench/README.md has no ${source}`,
    }));
  }
  const tables = named.flatMap((each) => each.tables ?? []);
  const looked = named.map((each) => each.source + (each.tables?.length ? "" : " (empty)"));
  const figures = figuresOf(block.text).filter(isTraced);
  if (figures.length === 0) {
    const problem = `no figure before the next empty line is of ${looked.join(", ")}`;
    return [{ line: block.line, problem }];
  }
  return figures.flatMap((figure) => {
    const best = nearest(figure, tables);
    if (best !== undefined && roundsTo(best, figure)) return [];
    const there = best === undefined ? "nothing of its kind is there" : `nearest: ${inShort(best)}`;
    const problem = `${figure.shown} is not in ${looked.join(", ")} of bench/README.md (${there})`;
    return [{ line: lineOf(figure, block), problem }];
  });
}

/**
 * Of `peers` all tables, of `peers (nobody tuned)` those with these words in their titles, and of
 * `peers (nobody tuned) (fill)` the columns of these with that word in theirs.
 */
function tablesNamed(source: string, sections: Sections): readonly Table[] | undefined {
  const [name = "", ...narrower] = source.replaceAll(")", "").split(" (");
  return narrower.reduce<readonly Table[] | undefined>((tables, words) => {
    const narrowed = tables?.flatMap((table) => narrow(table, words));
    return narrowed?.length ? narrowed : undefined;
  }, sections.get(name));
}

function narrow({ title, columns }: Table, words: string): Table[] {
  if (title.includes(words)) return [{ title, columns }];
  const titled = columns.filter((column) => column.title.includes(words));
  return titled.length > 0 ? [{ title, columns: titled }] : [];
}

function lineOf({ index }: Figure, { line, text }: Block): number {
  return line + text.slice(0, index).split("\n").length - 1;
}

const inShort = (value: number): string => String(Number(value.toPrecision(4)));
