import { loadShim, type Shim, SystemError } from "../../shims/index.ts";
import { abortable, closed } from "../abortable.ts";
import { PrefaultError } from "../errors.ts";
import type { OpenFile } from "../file/open-file.ts";
import type { FailureReport } from "../fill/failure.ts";
import { signalOf } from "../options.ts";
import { planRegions } from "../plan/plan.ts";
import { unopened } from "../target/failure-report.ts";
import { addressRegions, fileRegions, resolveTarget, type Target } from "../target/target.ts";
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
 *   no way to do it, and for addresses: what is mapped stays
 */
export async function evict(target: Target, options: ResidencyOptions = {}): Promise<EvictReport> {
  const signal = signalOf(options);
  const opened = resolveTarget(target, { asBytes: true, ...(signal && { signal }) });
  const { runs, failures, notes } = await abortable(signal, opened);
  const [mapped] = addressRegions(runs);
  if (mapped !== undefined) {
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `the memory at 0x${mapped.address.toString(16)} cannot be evicted: the system keeps pages that ` +
        "are mapped; unmap it, and give the file",
    );
  }
  const regions = fileRegions(runs);
  const shim = await loadShim();
  if (!shim.canEvict) {
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `the ${shim.name} shim cannot drop files from the page cache`,
    );
  }
  const plan = await abortable(signal, planRegions(regions, shim), (late) => late.close());
  try {
    const files: EvictedFile[] = [];
    let dropped = 0;
    let refused: { readonly error: SystemError; readonly path: string } | undefined;
    for (const { file, bytes, ranges } of plan.files) {
      const residentBytesBefore = await residentBytes(shim, file, ranges, signal);
      await abortable(signal, writeBack(file));
      for await (const { offset, byteLength } of inSteps(ranges, signal)) {
        try {
          await abortable(signal, shim.evict(file.fd, offset, byteLength));
          dropped += 1;
        } catch (error) {
          if (!(error instanceof SystemError)) throw error;
          refused ??= { error, path: file.path };
        }
      }
      const residentBytesAfter = await residentBytes(shim, file, ranges, signal);
      files.push({ path: file.path, bytes, residentBytesBefore, residentBytesAfter });
    }
    // What stayed of the rest is in the report.
    if (refused !== undefined && dropped === 0) throw cannotEvict(shim, refused);
    return {
      bytes: plan.bytes,
      residentBytesBefore: sumKnown(files.map((each) => each.residentBytesBefore)),
      residentBytesAfter: sumKnown(files.map((each) => each.residentBytesAfter)),
      files,
      failures: failures.map(unopened),
      notes,
    };
  } finally {
    await closed(signal, plan.close());
  }
}

/**
 * What is not on the disk yet cannot be dropped. Writing back is the system's own doing, and changes
 * nothing in the file. Where it is refused, as on a read-only or an odd file system, there may be
 * nothing to write back: what stays resident is in the report.
 */
async function writeBack({ handle }: OpenFile): Promise<void> {
  await handle.datasync().catch(() => {});
}

function cannotEvict(
  { name }: Shim,
  { error, path }: { readonly error: SystemError; readonly path: string },
): PrefaultError {
  const message = `${path} cannot be dropped from the page cache by the ${name} shim: ${error.message}`;
  return new PrefaultError("PREFAULT_UNSUPPORTED", message, {
    cause: error,
    errno: error.errno,
    path,
  });
}
