import { loadShim, SystemError } from "../../shims/index.ts";
import { PrefaultError } from "../errors.ts";
import { planRegions } from "../plan/plan.ts";
import { type FailureReport, unopened } from "../report.ts";
import { resolveTarget, type Target } from "../target.ts";
import { sumKnown } from "../units.ts";
import { inSteps, residentBytes } from "./count.ts";

export interface EvictedFile {
  readonly path: string;
  /** Bytes to be dropped, each counted once. */
  readonly bytes: number;
  /** Bytes of those in the page cache, in whole pages; `null` when the system will not say. */
  readonly residentBytesBefore: number | null;
  /** Not 0 where another process has the pages mapped or is reading them. */
  readonly residentBytesAfter: number | null;
}

export interface EvictReport {
  readonly bytes: number;
  readonly residentBytesBefore: number | null;
  readonly residentBytesAfter: number | null;
  readonly files: readonly EvictedFile[];
  /** Files that could not be opened, beside others that could. */
  readonly failures: readonly FailureReport[];
  /** What a person should know about the target, one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Asks the system to drop a target from the page cache. Pages that are mapped or in use stay.
 * Needs no privilege.
 *
 * @throws {@link PrefaultError} as `residency` does, and `PREFAULT_UNSUPPORTED` where the system has
 *   no way to do it
 */
export async function evict(target: Target): Promise<EvictReport> {
  const { runs, failures, notes } = await resolveTarget(target, { asBytes: true });
  const regions = runs.flatMap((run) => run.regions);
  const shim = await loadShim();
  if (!shim.canEvict) {
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `the ${shim.name} shim cannot drop files from the page cache`,
    );
  }
  const plan = await planRegions(regions, shim.pageBytes);
  try {
    const files: EvictedFile[] = [];
    for (const { file, bytes, ranges } of plan.files) {
      const residentBytesBefore = await residentBytes(shim, file, ranges);
      // What is not on the disk yet cannot be dropped. Writing back is the system's own doing, and
      // changes nothing in the file.
      await file.handle.datasync();
      for await (const { offset, byteLength } of inSteps(ranges)) {
        shim.evict(file.fd, offset, byteLength);
      }
      const residentBytesAfter = await residentBytes(shim, file, ranges);
      files.push({ path: file.path, bytes, residentBytesBefore, residentBytesAfter });
    }
    return {
      bytes: plan.bytes,
      residentBytesBefore: sumKnown(files.map((each) => each.residentBytesBefore)),
      residentBytesAfter: sumKnown(files.map((each) => each.residentBytesAfter)),
      files,
      failures: failures.map(unopened),
      notes,
    };
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `the ${shim.name} shim cannot evict: ${cause.message}`,
      { cause, errno: cause.errno },
    );
  } finally {
    await plan.close();
  }
}
