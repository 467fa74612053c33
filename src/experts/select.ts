import { PrefaultError } from "../errors.ts";
import { PageCount } from "./page-count.ts";
import { NO_ROW, type Profile, sumOf } from "./profile.ts";
import type { ExpertLayer, ExpertSlice, ExpertUnit } from "./slices.ts";

export interface Budget {
  /** Bytes that may become resident, the core included. `Infinity` for all. */
  readonly budgetBytes: number;
  /** Bytes of the whole pages of the core, which goes first. */
  readonly coreBytes: number;
  /** A power of two. */
  readonly pageBytes: number;
}

/** Which experts fit into a budget. */
export interface Selection {
  /** In the order in which they are to be filled: the hottest first, or the first layer's. */
  readonly chosen: readonly ExpertUnit[];
  /** Bytes of the chosen experts, each counted once. */
  readonly bytes: number;
  /** Bytes of the whole pages they lie in: with the core never more than the budget. */
  readonly residentBytes: number;
  /** Bytes of the experts that were not chosen. */
  readonly leftOutBytes: number;
  /** Experts that there are, in all layers. */
  readonly total: number;
}

/** An expert and how often it is chosen. */
interface RankedExpert {
  readonly unit: ExpertUnit;
  readonly weight: number;
  /** Weight per byte. */
  readonly density: number;
}

/**
 * Chooses the experts that fit into what a budget leaves after the core: whole ones, and as many of
 * the hottest as possible. One that no longer fits is passed over for smaller ones after it.
 *
 * @param profile - fitted by `checkProfile`; `null` fills in the order of layers and experts, which
 *   leaves the tensors whole and costs the disk least. Where the router is even, that covers as much
 *   as any other order
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for a budget that is no number of bytes
 */
export function selectExperts(
  layers: readonly ExpertLayer[],
  profile: Profile | null,
  budget: Budget,
): Selection {
  const chosen = takeWithin(rankExperts(layers, profile?.weights ?? null), budget);
  const all = layers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const bytes = distinctBytes(chosen.experts.map(({ unit }) => unit));
  return {
    chosen: chosen.experts.map(({ unit }) => unit),
    bytes,
    residentBytes: chosen.residentBytes,
    leftOutBytes: all - bytes,
    total: layers.reduce((sum, { units }) => sum + units.length, 0),
  };
}

/**
 * Puts experts in the order of weight per byte, since types and so sizes differ by layer; ties go by
 * layer, then by expert. An expert of which nothing is known gets the mean weight of those of which
 * something is.
 */
function rankExperts(
  layers: readonly ExpertLayer[],
  weights: readonly Float64Array[] | null,
): RankedExpert[] {
  const rowOf = ({ block }: ExpertLayer) => weights?.[block] ?? NO_ROW;
  const known = layers.map(rowOf).filter((row) => row.length > 0);
  const cells = known.reduce((sum, { length }) => sum + length, 0);
  const mean = cells === 0 ? 0 : sumOf(...known) / cells;
  const ranked: RankedExpert[] = [];
  for (const layer of layers) {
    const row = rowOf(layer);
    for (const unit of layer.units) {
      const weight = row[unit.expert] ?? mean;
      ranked.push({ unit, weight, density: weight / unit.byteLength });
    }
  }
  // Stable: layers and experts come in order.
  return ranked.sort((a, b) => b.density - a.density);
}

/** Takes experts in the order given for as long as any fits. */
function takeWithin(
  ranked: readonly RankedExpert[],
  { budgetBytes, coreBytes, pageBytes }: Budget,
): { readonly experts: RankedExpert[]; readonly residentBytes: number } {
  const room = expectBytes("budget", budgetBytes) - expectBytes("core", coreBytes);
  const pages = new PageCount(pageBytes);
  const smallest = ranked.reduce(
    (least, { unit }) => Math.min(least, leastBytes(unit, pageBytes)),
    Number.POSITIVE_INFINITY,
  );
  const experts: RankedExpert[] = [];
  let residentBytes = 0;
  for (const each of ranked) {
    if (residentBytes + smallest > room) break;
    const bytes = pages.cost(each.unit.slices);
    if (residentBytes + bytes > room) continue;
    pages.take(each.unit.slices);
    residentBytes += bytes;
    experts.push(each);
  }
  return { experts, residentBytes };
}

/** The fewest bytes an expert can add: its edges shared with neighbours, its chunks there already. */
function leastBytes({ slices }: ExpertUnit, pageBytes: number): number {
  let least = 0;
  for (const { byteLength, isShared } of slices) {
    if (!isShared) least += Math.max(0, byteLength - 2 * pageBytes);
  }
  return least;
}

/** Bytes of experts, a slice that several share counted once. */
function distinctBytes(units: readonly ExpertUnit[]): number {
  const shared = new Set<ExpertSlice>();
  let bytes = 0;
  for (const { slices } of units) {
    for (const slice of slices) {
      if (slice.isShared && shared.has(slice)) continue;
      if (slice.isShared) shared.add(slice);
      bytes += slice.byteLength;
    }
  }
  return bytes;
}

function expectBytes(what: string, bytes: number): number {
  if (bytes >= 0) return bytes;
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `the ${what} is ${bytes}, and has to be a number of bytes`,
  );
}
