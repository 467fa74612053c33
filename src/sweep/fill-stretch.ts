import type { FileSource } from "../files.ts";
import { describeFailure } from "./failure.ts";
import { type Filler, restOf, type Stretch } from "./filler.ts";
import type { LaneFailure } from "./protocol.ts";

/**
 * Fills a stretch up to its first failure, or, to keep going, all of it that can be filled.
 *
 * What cannot be read of a failing disk lies together, and each attempt takes seconds: for each
 * failure in a row twice as much is passed over, and is missing like what failed.
 *
 * @returns what is not resident, in order and apart from one another; none if the sweep was cancelled
 */
export function fillStretch(
  filler: Filler,
  stretch: Stretch,
  file: FileSource | undefined,
  { keepGoing, pageBytes }: { readonly keepGoing: boolean; readonly pageBytes: number },
): LaneFailure[] {
  const failures: LaneFailure[] = [];
  let step = pageBytes;
  for (let rest = stretch; rest.byteLength > 0; ) {
    try {
      filler.fill(rest);
      break;
    } catch (error) {
      const failure = describeFailure(error, rest, file);
      if (!keepGoing || failure.code !== "PREFAULT_READ_FAILED") return [...failures, failure];
      const offset = failure.offset - (failure.offset % pageBytes);
      const before = failures.at(-1);
      const inARow = before !== undefined && before.offset + before.byteLength === offset;
      step = inARow ? 2 * step : pageBytes;
      const byteLength = Math.min(step, rest.offset + rest.byteLength - offset);
      if (inARow) failures.pop();
      const first = inARow ? before : { ...failure, offset, byteLength: 0 };
      failures.push({ ...first, byteLength: first.byteLength + byteLength });
      rest = restOf(rest, offset + byteLength);
    }
  }
  return failures;
}
