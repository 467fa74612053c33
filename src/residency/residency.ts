import { loadShim, type Shim } from "../../shims/index.ts";
import { abortable, closed } from "../abortable.ts";
import type { FileSource } from "../file/open-file.ts";
import type { FailureReport } from "../fill/failure.ts";
import { signalOf } from "../options.ts";
import { mergeAddresses } from "../plan/addresses.ts";
import { type Plan, planRegions } from "../plan/plan.ts";
import { pagesOf } from "../plan/range.ts";
import type { FileRegion } from "../plan/region.ts";
import { unopened } from "../target/failure-report.ts";
import type { Run } from "../target/run.ts";
import {
  addressRegions,
  fileRegions,
  resolveTarget,
  type Target,
  tensorRegion,
} from "../target/target.ts";
import { sumKnown } from "../units.ts";
import { residentBytes, residentBytesAt } from "./count.ts";

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

/** For what looks at the page cache. */
export interface ResidencyOptions {
  /** Rejects with `PREFAULT_ABORTED` as soon as it fires. */
  readonly signal?: AbortSignal | undefined;
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
const MAP_CELLS = 64;

/**
 * What of a target is in the page cache right now. A snapshot: nothing keeps the pages there. Memory
 * that somebody mapped is measured where it is; it belongs to no file of the result.
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND`, `PREFAULT_NOT_A_FILE`, `PREFAULT_PERMISSION`,
 *   `PREFAULT_INVALID_MODEL`, `PREFAULT_MISSING_SHARD`, `PREFAULT_INVALID_OPTION`, `PREFAULT_ABORTED`
 */
export async function residency(
  target: Target,
  options: ResidencyOptions = {},
): Promise<Residency> {
  const signal = signalOf(options);
  const opened = resolveTarget(target, { asBytes: true, ...(signal && { signal }) });
  const { models, runs, failures, notes } = await abortable(signal, opened);
  const regions = fileRegions(runs);
  const named = [
    ...models.flatMap((model) => model.tensors.map((tensor) => tensorRegion(model, tensor))),
    ...regions.filter((region) => region.tensor !== undefined),
  ];
  const shim = await loadShim();
  const plan = await abortable(signal, planRegions(regions, shim), (late) => late.close());
  try {
    const files: FileResidency[] = [];
    for (const { file, bytes, ranges } of plan.files) {
      files.push({
        path: file.path,
        bytes,
        residentBytes: await residentBytes(shim, file, ranges, signal),
        map: await residencyMap(shim, file, signal),
      });
    }
    const tensors: TensorResidency[] = [];
    for (const region of named) {
      tensors.push(await tensorResidency(shim, plan, region, signal));
    }
    const memory = await memoryResidency(shim, runs, signal);
    return {
      bytes: plan.bytes + memory.bytes,
      residentBytes: sumKnown([...files, memory].map((each) => each.residentBytes)),
      files,
      tensors,
      failures: failures.map(unopened),
      notes,
    };
  } finally {
    await closed(signal, plan.close());
  }
}

async function tensorResidency(
  shim: Shim,
  plan: Plan,
  region: FileRegion,
  signal: AbortSignal | undefined,
): Promise<TensorResidency> {
  const { file, range } = plan.locate(region);
  // A tensor may begin and end within a page.
  const resident = await residentBytes(shim, file, [pagesOf(range, shim.pageBytes)], signal);
  return {
    tensor: region.tensor ?? "",
    file: region.path,
    bytes: range.byteLength,
    residentBytes: resident === null ? null : Math.min(resident, range.byteLength),
  };
}

/** What of the target is memory that somebody mapped; nothing for a target of files. */
async function memoryResidency(
  shim: Shim,
  runs: readonly Run[],
  signal: AbortSignal | undefined,
): Promise<{ bytes: number; residentBytes: number | null }> {
  const addresses = addressRegions(runs);
  if (addresses.length === 0) return { bytes: 0, residentBytes: 0 };
  const { bytes, ranges } = mergeAddresses(addresses, shim.pageBytes);
  return { bytes, residentBytes: await residentBytesAt(shim, ranges, signal) };
}

async function residencyMap(
  shim: Shim,
  file: FileSource,
  signal: AbortSignal | undefined,
): Promise<number[] | null> {
  const pages = Math.ceil(file.byteLength / shim.pageBytes);
  const cells = Math.min(MAP_CELLS, pages);
  const map: number[] = [];
  for (let cell = 0; cell < cells; cell++) {
    const first = Math.floor((cell * pages) / cells) * shim.pageBytes;
    const last = Math.floor(((cell + 1) * pages) / cells) * shim.pageBytes;
    const range = { offset: first, byteLength: last - first };
    const resident = await residentBytes(shim, file, [range], signal);
    if (resident === null) return null;
    map.push(resident / range.byteLength);
  }
  return map;
}
