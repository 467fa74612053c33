import type { Shim } from "../../shims/index.ts";
import { describeValue } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import { FileSet } from "../file/file-set.ts";
import { type DescribedOpenFile, describeOpenFile, type OpenFile } from "../file/open-file.ts";
import { mergePages } from "./merge.ts";
import type { Range } from "./range.ts";
import { RangeList, type RangeTable } from "./range-table.ts";
import type { FileRegion } from "./region.ts";

/** The ranges to fill of one file. */
export interface FilePlan {
  readonly file: DescribedOpenFile;
  /** Bytes, each counted once. */
  readonly bytes: number;
  /** Whole pages, sorted, without overlap or neighbours. */
  readonly ranges: RangeTable;
}

/** The ranges to fill, file by file. Holds the files open. */
export interface Plan {
  readonly files: readonly FilePlan[];
  /** Bytes, each counted once. */
  readonly bytes: number;
  /** Ranges of whole pages. */
  readonly regions: number;
  /** Whether regions of the file at a path were planned. */
  has(path: string): boolean;
  /** The file of a region of the plan, its index among the files, and the bytes. */
  locate(region: FileRegion): { index: number; file: DescribedOpenFile; range: Range };
  close(): Promise<void>;
}

/**
 * Opens the files of regions, unless they are open already, and merges the regions of each. A file that
 * is reached by several paths, hard links or symbolic links is planned once.
 *
 * @param shared files that are open already, and stay open when the plan is closed
 * @throws {@link PrefaultError} what {@link FileSet.open} throws, `PREFAULT_FILE_CHANGED` for a file that
 *   is no longer the one that the region was found in, and `PREFAULT_INVALID_OPTION` for a region that
 *   is not inside its file
 */
export async function planRegions(
  regions: readonly FileRegion[],
  shim: Pick<Shim, "describeFile" | "pageBytes"> & Partial<Pick<Shim, "adviseFile">>,
  shared?: FileSet,
): Promise<Plan> {
  const opened = shared ?? new FileSet();
  // Shared files are closed by their owner.
  const close = async () => (shared === undefined ? opened.close() : undefined);
  for (const region of regions) expectRegion(region);
  const byIdentity = new Map<string, ListedFile>();
  const byPath = new Map<string, ListedFile>();
  async function listed(path: string): Promise<ListedFile> {
    const known = byPath.get(path);
    if (known !== undefined) return known;
    const file = await opened.open(path);
    // The header is read, and what is filled now may be read ahead of.
    shim.adviseFile?.(file.fd, "normal");
    const entry = byIdentity.get(file.identity) ?? {
      file: await describeOpenFile(file, shim),
      ranges: new RangeList(),
    };
    byIdentity.set(file.identity, entry);
    byPath.set(path, entry);
    return entry;
  }
  try {
    for (let index = 0, region = regions[0]; region !== undefined; region = regions[index]) {
      index = listSamePath(regions, index, await listed(region.path));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const files = [...byIdentity.values()].map(({ file, ranges }) => ({
    file,
    ...mergePages(ranges.words, shim.pageBytes),
  }));
  return {
    files,
    bytes: files.reduce((sum, each) => sum + each.bytes, 0),
    regions: files.reduce((sum, each) => sum + each.ranges.length, 0),
    has: (path) => byPath.has(path),
    locate(region) {
      // Several paths may lead to the same entry.
      const entry = byPath.get(region.path);
      if (entry === undefined) throw new RangeError(`${region.path} is not part of the plan`);
      const index = files.findIndex((each) => each.file === entry.file);
      return { index, file: entry.file, range: rangeOf(region, entry.file) };
    },
    close,
  };
}

/** A file with the ranges of its regions, before they are merged. */
interface ListedFile {
  readonly file: DescribedOpenFile;
  readonly ranges: RangeList;
}

/**
 * Adds the regions from `index` on that have the same path to its file: regions come file by file, so
 * each path is looked up once.
 *
 * @returns the index of the first region with another path
 */
function listSamePath(
  regions: readonly FileRegion[],
  index: number,
  { file, ranges }: ListedFile,
): number {
  const path = regions[index]?.path;
  for (; index < regions.length; index++) {
    const region = regions[index];
    if (region === undefined || region.path !== path) break;
    expectSame(region, file);
    const { offset, byteLength } = rangeOf(region, file);
    ranges.push(offset, byteLength);
  }
  return index;
}

/** @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for anything but whole numbers from 0 on */
function expectRegion({ path, offset, byteLength }: FileRegion): void {
  // Makes no objects: there are as many regions as experts have slices.
  expectWhole(path, "offset", offset);
  expectWhole(path, "byteLength", byteLength);
}

function expectWhole(path: string, name: string, value: number | undefined): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return;
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `the ${name} of a region of ${path} is not inside it: it must be a whole number from 0 on, got ${describeValue(value)}`,
    { path },
  );
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

function rangeOf(region: FileRegion, file: OpenFile): Range {
  const { offset = 0, byteLength = file.byteLength - offset } = region;
  const inside =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(byteLength) &&
    offset >= 0 &&
    byteLength >= 0 &&
    offset + byteLength <= file.byteLength;
  if (inside) return { offset, byteLength };
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `the region at offset ${offset} of ${byteLength} bytes is not inside ${file.path}, ` +
      `which has ${file.byteLength} bytes`,
    { path: file.path, offset },
  );
}
