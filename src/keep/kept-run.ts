import { loadShim, type Shim } from "../../shims/index.ts";
import { PrefaultError } from "../errors.ts";
import { fileIdentity, type OpenFile } from "../file/open-file.ts";
import { type Plan, planRegions } from "../plan/plan.ts";
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

/** Whether the system does not tell this process what of it is resident. */
export function isUntold({ residentBytes: resident }: KeptRun): boolean {
  return resident === null;
}

/** The files of a run, open as long as it is kept: to open them takes ten times as long as a look at them. */
export class KeptFiles {
  readonly #run: FilesRun;
  readonly #shim: Shim;
  readonly #plan: Plan;

  /** @throws {@link PrefaultError} as {@link planRegions} */
  static async open(run: FilesRun): Promise<KeptFiles> {
    const shim = await loadShim();
    return new KeptFiles(run, shim, await planRegions(run.regions, shim));
  }

  private constructor(run: FilesRun, shim: Shim, plan: Plan) {
    this.#run = run;
    this.#shim = shim;
    this.#plan = plan;
  }

  /**
   * Looks what is resident now.
   *
   * @throws {@link PrefaultError} `PREFAULT_FILE_CHANGED` for a file that was replaced or shrank,
   *   `PREFAULT_NOT_FOUND` for one that was deleted, `PREFAULT_ABORTED`
   */
  async look(signal: AbortSignal): Promise<KeptRun[]> {
    const { name } = this.#run;
    const entries: KeptRun[] = [];
    for (const { file, ranges } of this.#plan.files) {
      await expectInPlace(file);
      entries.push({
        name: name ?? "files",
        path: file.path,
        wantedBytes: ranges.byteLength,
        residentBytes: await residentBytes(this.#shim, file, ranges, signal),
      });
    }
    const [first] = entries;
    // The files of a run with a name are those of one model.
    if (name === undefined || first === undefined) return entries;
    return [
      {
        ...first,
        wantedBytes: entries.reduce((sum, { wantedBytes }) => sum + wantedBytes, 0),
        residentBytes: sumKnown(entries.map((each) => each.residentBytes)),
      },
    ];
  }

  close(): Promise<void> {
    return this.#plan.close();
  }
}

async function expectInPlace({ path, identity, handle, byteLength }: OpenFile): Promise<void> {
  const changed = (how: string) => {
    return new PrefaultError("PREFAULT_FILE_CHANGED", `${path} ${how}`, { path });
  };
  if ((await fileIdentity(path)) !== identity) throw changed("was replaced by another file");
  const { size } = await handle.stat();
  if (size < byteLength) throw changed(`shrank from ${byteLength} to ${size} bytes`);
}
