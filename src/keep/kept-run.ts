import { loadShim } from "../../shims/index.ts";
import { planRegions } from "../plan/plan.ts";
import { residentBytes } from "../residency/count.ts";
import type { FilesRun } from "../target/run.ts";
import { sumKnown } from "../units.ts";

/** What of one run is wanted, and what of that is resident. */
export interface KeptRun {
  /** `core` or `experts`; `files` for whole files, each of which has an entry of its own. */
  readonly name: string;
  /** The first file of the model, or the file. */
  readonly path: string;
  /** Bytes, in whole pages. */
  readonly wantedBytes: number;
  /** `null` where the system does not say. */
  readonly residentBytes: number | null;
}

/** So much may be missing: the system takes a page here and there. */
const MISSING_SHARE = 0.02;

export function isMissing({ wantedBytes, residentBytes: resident }: KeptRun): boolean {
  return resident !== null && resident < (1 - MISSING_SHARE) * wantedBytes;
}

/**
 * Looks what of a run is resident now.
 *
 * @throws {@link PrefaultError} as {@link planRegions}, `PREFAULT_ABORTED`
 */
export async function lookAt(run: FilesRun, signal: AbortSignal): Promise<KeptRun[]> {
  const shim = await loadShim();
  const plan = await planRegions(run.regions, shim);
  try {
    const entries: KeptRun[] = [];
    for (const { file, ranges } of plan.files) {
      entries.push({
        name: run.name ?? "files",
        path: file.path,
        wantedBytes: ranges.byteLength,
        residentBytes: await residentBytes(shim, file, ranges, signal),
      });
    }
    const [first] = entries;
    // The files of a run with a name are those of one model.
    if (run.name === undefined || first === undefined) return entries;
    return [
      {
        ...first,
        wantedBytes: entries.reduce((sum, { wantedBytes }) => sum + wantedBytes, 0),
        residentBytes: sumKnown(entries.map((each) => each.residentBytes)),
      },
    ];
  } finally {
    await plan.close();
  }
}
