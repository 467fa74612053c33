import { loadShim, type Shim } from "../../shims/index.ts";
import type { ResolvedOptions } from "../options.ts";
import { type FilePlan, planRegions } from "../plan/plan.ts";
import type { Range } from "../plan/range.ts";
import type { AddressRegion } from "../plan/region.ts";
import { prefault } from "../run/prefault.ts";
import type { FilesRun } from "../target/run.ts";
import { fileRegions } from "../target/target.ts";

/**
 * Enters what is resident into the page tables of the mappings that this process has of it, such as an
 * engine's: each of its first accesses would be a minor fault otherwise, which maps 64 KiB at most
 * (`fault_around_bytes`, mm/memory.c). What is mapped counts as used, too, and is evicted later.
 *
 * Does nothing where the system does not tell what is mapped.
 *
 * @throws {@link PrefaultError} as {@link planRegions}
 */
export async function mapFilled(
  runs: readonly FilesRun[],
  { signal, workers, killSwitch }: ResolvedOptions,
): Promise<void> {
  const shim = await loadShim();
  const plan = await planRegions(fileRegions(runs), shim);
  let mapped: AddressRegion[];
  try {
    mapped = (await Promise.all(plan.files.map((each) => mappedParts(each, shim)))).flat();
  } finally {
    await plan.close();
  }
  if (mapped.length === 0) return;
  await prefault(mapped, { gate: "always", log() {}, signal, killSwitch, workers });
}

async function mappedParts({ file, ranges }: FilePlan, shim: Shim): Promise<AddressRegion[]> {
  const mappings = (await shim.findMappings(file.path)) ?? [];
  return mappings.flatMap(({ address, offset, byteLength }) =>
    [...overlaps(ranges, { offset, byteLength })].map((part) => ({
      address: address + BigInt(part.offset - offset),
      byteLength: part.byteLength,
    })),
  );
}

/** What of ranges lies within another. @param ranges sorted */
function* overlaps(ranges: Iterable<Range>, within: Range): Generator<Range> {
  const end = within.offset + within.byteLength;
  for (const range of ranges) {
    if (range.offset >= end) return;
    const offset = Math.max(range.offset, within.offset);
    const byteLength = Math.min(range.offset + range.byteLength, end) - offset;
    if (byteLength > 0) yield { offset, byteLength };
  }
}
