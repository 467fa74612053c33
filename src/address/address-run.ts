import { loadShim, type Shim } from "../../shims/index.ts";
import { layOut } from "../arena/layout.ts";
import { asPrefaultError, PrefaultError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { cutChunks, mergePages } from "../plan/merge.ts";
import type { Range } from "../plan/range.ts";
import { RangeTable } from "../plan/range-table.ts";
import type { AddressRegion } from "../plan/region.ts";
import { emptyReport, type PrefaultReport } from "../report.ts";
import { askGate, labelOf, outcome } from "../run.ts";
import { defaultLanes, isWarm } from "../sweep/lanes.ts";
import { startSweep } from "../sweep/sweep.ts";

/**
 * The way of the data for mappings somebody else made: merged like files, gated like files, and
 * populated where they are.
 *
 * Null and empty regions are ignored, as the reference ignores them.
 */
export async function executeAddresses(
  regions: readonly AddressRegion[],
  options: ResolvedOptions,
): Promise<PrefaultReport> {
  const shim = await loadShim();
  const given = regions.filter(({ address, byteLength }) => address !== 0n && byteLength > 0);
  const exact = RangeTable.from(given.map(rangeOf));
  const { bytes, ranges } = mergePages(exact.words, shim.pageBytes);
  const before = await resident(shim, ranges);
  const answer = askGate(shim, bytes, before ?? 0, undefined, options);
  const planned: PrefaultReport = {
    ...emptyReport(labelOf(options), answer.reason),
    bytes,
    regions: ranges.length,
    residentBytesBefore: before,
    residentBytesAfter: before,
  };
  if (!answer.run) return planned;
  if (!shim.canPopulate) {
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `the ${shim.name} shim cannot fill a mapping that somebody else made; give the file instead`,
    );
  }

  const why = "the kernel fills the mapping in place";
  const running = { ...planned, ran: true, strategy: "populate", strategyReason: why } as const;
  // An address is an offset into memory: laid out like a file, and never mapped a second time.
  const layout = layOut([ranges]);
  const sweep = await startSweep({
    files: [],
    windows: layout.windows,
    chunks: cutChunks(layout.pieces, options.chunkBytes),
    mapping: null,
    strategy: "populate",
    isWarm: isWarm(bytes, before),
    workers: options.workers ?? defaultLanes(bytes, before, []),
    keepGoing: options.onError === "continue",
    workerUrl: options.workerUrl,
    signal: options.signal,
    onProgress: options.onProgress,
  });
  try {
    const result = await sweep.result;
    return {
      ...running,
      residentBytesAfter: await resident(shim, ranges),
      ...outcome(bytes, result),
    };
  } catch (thrown) {
    const error = asPrefaultError(thrown);
    return { ...running, reason: `failed: ${error.message}`, error };
  }
}

function rangeOf({ address, byteLength }: AddressRegion): Range {
  const offset = Number(address);
  const valid = address > 0n && Number.isSafeInteger(byteLength) && byteLength > 0;
  if (valid && Number.isSafeInteger(offset + byteLength)) return { offset, byteLength };
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `no memory has ${byteLength} bytes at address ${address}`,
  );
}

/** `null` when the system will not say, also for a range that is not mapped at all. */
function resident(shim: Shim, ranges: Iterable<Range>): Promise<number | null> {
  return shim.residentBytesAt(
    Array.from(ranges, ({ offset, byteLength }) => ({ address: BigInt(offset), byteLength })),
  );
}
