import type { FileSource } from "../file/open-file.ts";
import { describeFailure, type FailureReport } from "./failure.ts";
import { type Chunk, type Filler, restOf } from "./filler.ts";

/** What a fill does after a failure. */
export interface GoingOn {
  /** Whether to fill what can be filled after a failed page. */
  readonly keepGoing: boolean;
  readonly pageBytes: number;
}

/**
 * The ranges of one chunk that could not be filled: in order, without overlap or neighbours.
 *
 * Bad pages of a failing disk lie together, and each attempt takes seconds. So for each failure in a row
 * twice as many bytes are skipped, and they count as failed.
 */
export class ChunkFailures {
  readonly list: FailureReport[] = [];
  readonly #how: GoingOn;
  #step: number;

  constructor(how: GoingOn) {
    this.#how = how;
    this.#step = how.pageBytes;
  }

  /** @returns the part of `rest` to fill next; `null` when the fill ends here */
  add(failure: FailureReport, rest: Chunk): Chunk | null {
    const { keepGoing, pageBytes } = this.#how;
    if (!keepGoing || failure.code !== "PREFAULT_READ_FAILED") {
      this.list.push(failure);
      return null;
    }
    const offset = failure.offset - (failure.offset % pageBytes);
    const before = this.list.at(-1);
    const inARow = before !== undefined && before.offset + before.byteLength === offset;
    this.#step = inARow ? 2 * this.#step : pageBytes;
    const byteLength = Math.min(this.#step, rest.offset + rest.byteLength - offset);
    if (inARow) this.list.pop();
    const first = inARow ? before : { ...failure, offset, byteLength: 0 };
    this.list.push({ ...first, byteLength: first.byteLength + byteLength });
    return restOf(rest, offset + byteLength);
  }
}

/**
 * Fills a chunk up to its first failure, or, with `keepGoing`, all of it that can be filled.
 *
 * @returns the ranges that are not resident; none if the sweep was cancelled
 */
export function fillChunk(
  filler: Filler,
  chunk: Chunk,
  file: FileSource | undefined,
  how: GoingOn,
): FailureReport[] {
  const failures = new ChunkFailures(how);
  for (let rest: Chunk | null = chunk; rest !== null && rest.byteLength > 0; ) {
    try {
      filler.fill(rest);
      break;
    } catch (error) {
      rest = failures.add(describeFailure(error, rest, file), rest);
    }
  }
  return failures.list;
}
