import { PrefaultError } from "../errors.ts";
import { type OpenFile, openFile } from "../files.ts";
import { mergePages } from "./merge.ts";
import type { Range } from "./range.ts";
import type { FileRegion } from "./region.ts";

/** What is to be filled of one file. */
export interface FilePlan {
  readonly file: OpenFile;
  /** Bytes, each counted once. */
  readonly bytes: number;
  /** Whole pages, sorted, apart from one another. */
  readonly ranges: readonly Range[];
}

/** What is to be filled, file by file. Holds the files open. */
export interface Plan {
  readonly files: readonly FilePlan[];
  /** Bytes, each counted once. */
  readonly bytes: number;
  /** Ranges of whole pages. */
  readonly regions: number;
  /** Where a region of the plan lies: the number of its file, and the bytes. */
  locate(region: FileRegion): { index: number; file: OpenFile; range: Range };
  close(): Promise<void>;
}

/**
 * Opens the files and merges what is to be filled of each. A file that is reached by several paths,
 * hard links or symbolic links is planned once.
 *
 * @throws {@link PrefaultError} what {@link openFile} throws, `PREFAULT_FILE_CHANGED` for a file that
 *   is no longer the one the region was found in, and `PREFAULT_INVALID_OPTION` for a region that is
 *   not inside its file
 */
export async function planRegions(
  regions: readonly FileRegion[],
  pageBytes: number,
): Promise<Plan> {
  const byIdentity = new Map<string, { file: OpenFile; ranges: Range[] }>();
  const byPath = new Map<string, { file: OpenFile; ranges: Range[] }>();
  const close = async () => {
    await Promise.all([...byIdentity.values()].map(({ file }) => file.handle.close()));
  };
  try {
    let entry: { file: OpenFile; ranges: Range[] } | undefined;
    let path: string | undefined;
    for (const region of regions) {
      // Regions come file by file; the map is asked where the next file begins.
      if (region.path !== path) entry = byPath.get(region.path);
      path = region.path;
      if (entry === undefined) {
        const file = await openFile(region.path);
        entry = byIdentity.get(file.identity);
        if (entry === undefined) {
          entry = { file, ranges: [] };
          byIdentity.set(file.identity, entry);
        } else {
          await file.handle.close();
        }
        byPath.set(region.path, entry);
      }
      expectSame(region, entry.file);
      entry.ranges.push(rangeOf(region, entry.file));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const files = [...byIdentity.values()].map(({ file, ranges }) => ({
    file,
    ...mergePages(ranges, pageBytes),
  }));
  return {
    files,
    bytes: files.reduce((sum, each) => sum + each.bytes, 0),
    regions: files.reduce((sum, each) => sum + each.ranges.length, 0),
    locate(region) {
      // A file that was named by several paths was opened once.
      const entry = byPath.get(region.path);
      if (entry === undefined) throw new RangeError(`${region.path} is not part of the plan`);
      const index = files.findIndex((each) => each.file === entry.file);
      const { offset, byteLength } = rangeOf(region, entry.file);
      return { index, file: entry.file, range: { offset, byteLength } };
    },
    close,
  };
}

/** @throws {@link PrefaultError} `PREFAULT_FILE_CHANGED` when the region was found in another file */
function expectSame(region: FileRegion, { path, identity, byteLength }: OpenFile): void {
  if (region.identity === undefined) return;
  const { offset = 0, byteLength: regionBytes = 0 } = region;
  const isSame = region.identity === identity;
  if (isSame && offset + regionBytes <= byteLength) return;
  const what = isSame ? `shrank to ${byteLength} bytes` : "was replaced by another file";
  throw new PrefaultError("PREFAULT_FILE_CHANGED", `${path} ${what} since it was planned`, {
    path,
  });
}

function isRange(region: FileRegion): region is FileRegion & Range {
  return region.offset !== undefined && region.byteLength !== undefined;
}

function rangeOf(region: FileRegion, file: OpenFile): Range {
  const { offset = 0, byteLength = file.byteLength - offset } = region;
  const inside =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(byteLength) &&
    offset >= 0 &&
    byteLength >= 0 &&
    offset + byteLength <= file.byteLength;
  // Most say both, and are their own range: 100,000 new objects would take as long as the sorting.
  if (inside) return isRange(region) ? region : { offset, byteLength };
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `the region at offset ${offset} of ${byteLength} bytes is not inside ${file.path}, ` +
      `which has ${file.byteLength} bytes`,
    { path: file.path, offset },
  );
}
