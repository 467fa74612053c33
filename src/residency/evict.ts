import { loadShim, SystemError } from "../../shims/index.ts";
import { PrefaultError } from "../errors.ts";
import { closed, orAbort } from "../left-behind.ts";
import { signalOf } from "../options.ts";
import { planRegions } from "../plan/plan.ts";
import { resolveTarget, type Target } from "../target.ts";
import { sumKnown } from "../units.ts";
import { inSteps, residentBytes } from "./count.ts";
import type { ResidencyOptions } from "./residency.ts";

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
}

/**
 * Asks the system to drop a target from the page cache. Pages that are mapped or in use stay.
 * Needs no privilege.
 *
 * @throws {@link PrefaultError} as `residency` does, and `PREFAULT_UNSUPPORTED` where the system has
 *   no way to do it, and for addresses: what is mapped stays
 */
export async function evict(target: Target, options: ResidencyOptions = {}): Promise<EvictReport> {
  const signal = signalOf(options);
  const { runs } = await orAbort(signal, resolveTarget(target));
  const [mapped] = runs.flatMap((run) => run.addresses ?? []);
  if (mapped !== undefined) {
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `the memory at 0x${mapped.address.toString(16)} cannot be evicted: the system keeps pages that ` +
        "are mapped; unmap it, and give the file",
    );
  }
  const regions = runs.flatMap((run) => run.regions);
  const shim = await loadShim();
  if (!shim.canEvict) {
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `the ${shim.name} shim cannot drop files from the page cache`,
    );
  }
  const opening = planRegions(regions, shim.pageBytes);
  const plan = await orAbort(signal, opening, (late) => late.close());
  try {
    const files: EvictedFile[] = [];
    for (const { file, bytes, ranges } of plan.files) {
      const residentBytesBefore = await residentBytes(shim, file, ranges, signal);
      // What is not on the disk yet cannot be dropped. Writing back is the system's own doing, and
      // changes nothing in the file.
      await orAbort(signal, file.handle.datasync());
      for await (const { offset, byteLength } of inSteps(ranges, signal)) {
        shim.evict(file.fd, offset, byteLength);
      }
      const residentBytesAfter = await residentBytes(shim, file, ranges, signal);
      files.push({ path: file.path, bytes, residentBytesBefore, residentBytesAfter });
    }
    return {
      bytes: plan.bytes,
      residentBytesBefore: sumKnown(files.map((each) => each.residentBytesBefore)),
      residentBytesAfter: sumKnown(files.map((each) => each.residentBytesAfter)),
      files,
    };
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `the ${shim.name} shim cannot evict: ${cause.message}`,
      { cause, errno: cause.errno },
    );
  } finally {
    await closed(signal, plan.close());
  }
}
