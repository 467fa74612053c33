import { loadShim, type Shim } from "../../shims/index.ts";
import type { FileSource } from "../files.ts";
import { type Plan, planRegions } from "../plan/plan.ts";
import { pagesOf } from "../plan/range.ts";
import type { FileRegion } from "../plan/region.ts";
import { type FailureReport, unopened } from "../report.ts";
import { resolveTarget, type Target, tensorRegion } from "../target.ts";
import { sumKnown } from "../units.ts";
import { residentBytes } from "./count.ts";

/** What is resident of one file. */
export interface FileResidency {
  readonly path: string;
  /** Bytes asked about, each counted once. */
  readonly bytes: number;
  /** Bytes of those in the page cache, in whole pages; `null` when the system will not say. */
  readonly residentBytes: number | null;
  /**
   * The whole file in up to 64 equal parts, each the share of it that is in the page
   * cache, from 0 to 1; `null` as above.
   */
  readonly map: readonly number[] | null;
}

/** What is resident of one tensor. */
export interface TensorResidency {
  readonly tensor: string;
  readonly file: string;
  readonly bytes: number;
  /** At most `bytes`; `null` when the system will not say. */
  readonly residentBytes: number | null;
}

export interface Residency {
  readonly bytes: number;
  readonly residentBytes: number | null;
  readonly files: readonly FileResidency[];
  /** Those of a model, or the regions that name their tensor. */
  readonly tensors: readonly TensorResidency[];
  /** Files that could not be opened, beside others that could. */
  readonly failures: readonly FailureReport[];
  /** What a person should know about the target, one sentence each. */
  readonly notes: readonly string[];
}

/** Cells of a file's map: what fits a line of a terminal. */
export const MAP_CELLS = 64;

/**
 * What of a target is in the page cache right now. A snapshot: nothing keeps the pages there.
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND`, `PREFAULT_NOT_A_FILE`, `PREFAULT_PERMISSION`,
 *   `PREFAULT_INVALID_MODEL`, `PREFAULT_MISSING_SHARD`, `PREFAULT_INVALID_OPTION`
 */
export async function residency(target: Target): Promise<Residency> {
  const { models, runs, failures, notes } = await resolveTarget(target, { asBytes: true });
  const regions = runs.flatMap((run) => run.regions);
  const named = [
    ...models.flatMap((model) => model.tensors.map((tensor) => tensorRegion(model, tensor))),
    ...regions.filter((region) => region.tensor !== undefined),
  ];
  const shim = await loadShim();
  const plan = await planRegions(regions, shim);
  try {
    const files: FileResidency[] = [];
    for (const { file, bytes, ranges } of plan.files) {
      files.push({
        path: file.path,
        bytes,
        residentBytes: await residentBytes(shim, file, ranges),
        map: await residencyMap(shim, file),
      });
    }
    const tensors: TensorResidency[] = [];
    for (const region of named) tensors.push(await tensorResidency(shim, plan, region));
    return {
      bytes: plan.bytes,
      residentBytes: sumKnown(files.map((each) => each.residentBytes)),
      files,
      tensors,
      failures: failures.map(unopened),
      notes,
    };
  } finally {
    await plan.close();
  }
}

async function tensorResidency(
  shim: Shim,
  plan: Plan,
  region: FileRegion,
): Promise<TensorResidency> {
  const { file, range } = plan.locate(region);
  // A tensor may begin and end within a page.
  const resident = await residentBytes(shim, file, [pagesOf(range, shim.pageBytes)]);
  return {
    tensor: region.tensor ?? "",
    file: region.path,
    bytes: range.byteLength,
    residentBytes: resident === null ? null : Math.min(resident, range.byteLength),
  };
}

async function residencyMap(shim: Shim, file: FileSource): Promise<number[] | null> {
  const pages = Math.ceil(file.byteLength / shim.pageBytes);
  const cells = Math.min(MAP_CELLS, pages);
  const map: number[] = [];
  for (let cell = 0; cell < cells; cell++) {
    const first = Math.floor((cell * pages) / cells) * shim.pageBytes;
    const last = Math.floor(((cell + 1) * pages) / cells) * shim.pageBytes;
    const range = { offset: first, byteLength: last - first };
    const resident = await residentBytes(shim, file, [range]);
    if (resident === null) return null;
    map.push(resident / range.byteLength);
  }
  return map;
}
