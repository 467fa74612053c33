import type { FileHandle } from "node:fs/promises";
import { abortError } from "../errors.ts";
import {
  invalidProfile,
  isWeight,
  MOST_CELLS,
  MOST_LAYERS,
  MOST_WEIGHT,
  NO_ROW,
  type Profile,
} from "./profile.ts";
import { MOST_EXPERTS } from "./routed-layers.ts";

/** A log of some ten thousand tokens of a large model has 100 MB. */
const MOST_CSV_BYTES = 512 * 2 ** 20;
const MOST_LINE_CHARACTERS = 1000;
const BUFFER_BYTES = 2 ** 20;

/** A return at the very end may be half of an end of line. */
const LINE_END = /\r\n|\n|\r(?!$)/;
const WHOLE = /^\d{1,15}$/;
const NUMBER = /^\d{1,20}(?:\.\d*)?(?:[eE][+-]?\d{1,3})?$/;

/**
 * Reads `layer,expert[,count]`, a line each. Lines that begin with `#` and empty ones are skipped; a
 * first line of words names the columns, of which `layer` and `expert` may stand anywhere. Commas,
 * semicolons and tabs separate. Layers are blocks by number, from 0, as in `blk.0`.
 *
 * - With counts, those of the same expert are added up.
 * - Without counts, where a pair comes again: a log of what the router chose, each line once.
 * - Without counts, where none does: a list, the hottest first. It has an order and no weights, so
 *   that nothing can be said of how much of the use it covers.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`, which names the line, `PREFAULT_ABORTED`
 */
export async function readCsv(
  handle: FileHandle,
  path: string,
  fileBytes: number,
  encoding: "utf-8" | "utf-16le",
  signal: AbortSignal | undefined,
): Promise<Profile> {
  if (fileBytes > MOST_CSV_BYTES) {
    throw invalidProfile(path, `a text of ${fileBytes} bytes is no list of experts`);
  }
  const table = new Table(path);
  const decoder = new TextDecoder(encoding);
  const buffer = new Uint8Array(Math.min(BUFFER_BYTES, fileBytes));
  let rest = "";
  for (let at = 0; at < fileBytes; ) {
    if (signal?.aborted === true) throw abortError(signal);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) break;
    at += bytesRead;
    const lines = (rest + decoder.decode(buffer.subarray(0, bytesRead), { stream: true })).split(
      LINE_END,
    );
    rest = lines.pop() ?? "";
    for (const line of lines) table.add(line);
    if (rest.length > MOST_LINE_CHARACTERS) table.add(rest);
  }
  table.add(rest + decoder.decode());
  return table.profile();
}

/** Where the columns stand. */
interface Columns {
  readonly layer: number;
  readonly expert: number;
  readonly count: number;
}

const UNNAMED: Columns = { layer: 0, expert: 1, count: 2 };

/** Collects the lines of a file. */
class Table {
  readonly #path: string;
  /** Sums by `layer * MOST_EXPERTS + expert`, in the order in which the pairs first came. */
  readonly #sums = new Map<number, number>();
  #columns: Columns | undefined;
  #line = 0;
  #entries = 0;
  #counts = 0;

  constructor(path: string) {
    this.#path = path;
  }

  add(text: string): void {
    this.#line++;
    if (text.length > MOST_LINE_CHARACTERS) throw this.#bad(`is too long`);
    const line = text.trim();
    if (line === "" || line.startsWith("#")) return;
    const fields = line.split(/[,;\t]/).map((field) => field.trim().replace(/^"(.*)"$/, "$1"));
    if (this.#columns === undefined) {
      const isHeader = fields.every((field) => field === "" || /^[a-z_]/i.test(field));
      this.#columns = isHeader ? this.#named(fields) : UNNAMED;
      if (isHeader) return;
    }
    this.#entry(fields, this.#columns);
  }

  #named(fields: readonly string[]): Columns {
    const find = (pattern: RegExp) => fields.findIndex((field) => pattern.test(field));
    const [layer, expert] = [find(/layer|block|blk/i), find(/expert/i)];
    if (layer < 0 || expert < 0) throw this.#bad("names no columns layer and expert");
    const count = find(/count|hits|freq|weight|select|uses|^n$/i);
    return { layer, expert, count: count === layer || count === expert ? -1 : count };
  }

  #entry(fields: readonly string[], columns: Columns): void {
    const layer = this.#index(fields[columns.layer], "layer", MOST_LAYERS);
    const expert = this.#index(fields[columns.expert], "expert", MOST_EXPERTS);
    const text = fields[columns.count] ?? "";
    if (text !== "") this.#counts++;
    this.#entries++;
    if (this.#counts !== 0 && this.#counts !== this.#entries) {
      throw this.#bad(
        text === "" ? "has no count, as others have" : "has a count, as others have not",
      );
    }
    const count = text === "" ? 1 : NUMBER.test(text) ? Number(text) : Number.NaN;
    if (!isWeight(count)) throw this.#bad(`has the count ${JSON.stringify(text.slice(0, 40))}`);
    const key = layer * MOST_EXPERTS + expert;
    const sum = (this.#sums.get(key) ?? 0) + count;
    if (sum > MOST_WEIGHT) throw this.#bad("makes a sum past 2^53");
    this.#sums.set(key, sum);
    if (this.#sums.size > MOST_CELLS) throw this.#bad(`is past ${MOST_CELLS} experts`);
  }

  #index(text: string | undefined, what: string, end: number): number {
    const index = text !== undefined && WHOLE.test(text) ? Number(text) : Number.NaN;
    if (index < end) return index;
    throw this.#bad(`has the ${what} ${JSON.stringify((text ?? "").slice(0, 40))}`);
  }

  profile(): Profile {
    if (this.#sums.size === 0) throw invalidProfile(this.#path, "it lists no experts");
    const isList = this.#counts === 0 && this.#sums.size === this.#entries;
    const lengths = new Map<number, number>();
    for (const key of this.#sums.keys()) {
      const [layer, expert] = [Math.floor(key / MOST_EXPERTS), key % MOST_EXPERTS];
      lengths.set(layer, Math.max(lengths.get(layer) ?? 0, expert + 1));
    }
    const cells = [...lengths.values()].reduce((sum, length) => sum + length, 0);
    if (cells > MOST_CELLS) throw invalidProfile(this.#path, `it is past ${MOST_CELLS} experts`);
    const layers = [...lengths.keys()].reduce((most, layer) => Math.max(most, layer), 0) + 1;
    const weights = Array.from({ length: layers }, (_, layer) => {
      const length = lengths.get(layer);
      return length === undefined ? NO_ROW : new Float64Array(length);
    });
    let rank = this.#sums.size;
    for (const [key, sum] of this.#sums) {
      const row = weights[Math.floor(key / MOST_EXPERTS)] ?? NO_ROW;
      row[key % MOST_EXPERTS] = isList ? rank-- : sum;
    }
    return {
      source: "csv",
      layers,
      experts: weights.reduce((most, row) => Math.max(most, row.length), 0),
      samples: isList ? 0 : null,
      weights,
      model: null,
      inputLengths: new Map(),
      notes: isList
        ? [`${this.#path} has no counts, so its order counts: the first line is the hottest`]
        : [],
      path: this.#path,
    };
  }

  #bad(why: string): Error {
    return invalidProfile(this.#path, `line ${this.#line} ${why}`);
  }
}
