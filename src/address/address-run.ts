import { loadShim, type Shim } from "../../shims/index.ts";
import { layOut } from "../arena/layout.ts";
import { PrefaultError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { mergeAddresses } from "../plan/addresses.ts";
import { cutChunks } from "../plan/merge.ts";
import type { AddressRegion } from "../plan/region.ts";
import { emptyReport, type PrefaultReport } from "../report.ts";
import { residentBytesAt } from "../residency/count.ts";
import { askGate, failedReport, labelOf, outcome } from "../run.ts";
import { DoneChunks } from "../sweep/done-chunks.ts";
import { defaultLanes, isWarm } from "../sweep/lanes.ts";
import { startSweep } from "../sweep/sweep.ts";

/**
 * The way of the data for mappings somebody else made: merged like files, gated like files, and
 * populated where they are. Never rejects.
 *
 * Null and empty regions are ignored, as the reference ignores them.
 */
export async function executeAddresses(
  regions: readonly AddressRegion[],
  options: ResolvedOptions,
): Promise<PrefaultReport> {
  // What is known so far, for the case that the next step fails.
  let report = emptyReport(labelOf(options), "");
  try {
    const shim = await loadShim();
    const { signal } = options;
    const { bytes, ranges } = mergeAddresses(regions, shim.pageBytes);
    report = { ...report, bytes, regions: ranges.length };
    const before = await residentBytesAt(shim, ranges, signal);
    const answer = askGate(shim, bytes, before ?? 0, undefined, options);
    report = {
      ...report,
      reason: answer.reason,
      residentBytesBefore: before,
      residentBytesAfter: before,
    };
    if (!answer.run) return report;
    if (!shim.canPopulate) throw cannotFill(shim, regions);

    // An address is an offset into memory: laid out like a file, and never mapped a second time.
    const layout = layOut([ranges]);
    const chunks = cutChunks(layout.pieces, options.chunkBytes);
    const sweep = await startSweep({
      files: [],
      windows: layout.windows,
      chunks,
      done: DoneChunks.forChunks(chunks.length),
      mapping: null,
      strategy: "populate",
      isWarm: isWarm(bytes, before),
      workers: options.workers ?? defaultLanes(bytes, before, []),
      keepGoing: options.onError === "continue",
      workerUrl: options.workerUrl,
      signal,
      onProgress: options.onProgress,
    });
    const why = "the kernel fills the mapping in place";
    report = { ...report, ran: true, strategy: "populate", strategyReason: why };
    const result = await sweep.result;
    const residentBytesAfter = await residentBytesAt(shim, ranges);
    return { ...report, residentBytesAfter, ...outcome(bytes, result) };
  } catch (thrown) {
    return failedReport(report, thrown);
  }
}

function cannotFill({ name }: Shim, regions: readonly AddressRegion[]): PrefaultError {
  const first = `0x${regions[0]?.address.toString(16) ?? 0}`;
  return new PrefaultError(
    "PREFAULT_UNSUPPORTED",
    `the ${name} shim cannot fill the mapping at ${first}, which somebody else made; give the file instead`,
  );
}
