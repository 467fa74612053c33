import { PrefaultError } from "../errors.ts";
import { ExpertTable } from "./expert-table.ts";
import { PageCount, sharedKey } from "./page-count.ts";
import type { Profile } from "./profile.ts";
import type { RoutedLayer } from "./routed-layers.ts";
import { type ExpertSlice, type ExpertUnit, slicesOfExpert } from "./slices.ts";

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

/**
 * Chooses the experts that fit into what a budget leaves after the core: whole ones, and as many of
 * the hottest as possible. One that no longer fits is passed over for smaller ones after it.
 *
 * @param profile - fitted by `checkProfile`; `null` fills in the order of layers and experts, which
 *   leaves the tensors whole and costs the disk least. Where the router chooses all experts equally
 *   often, every order covers the same share of its choices
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for a budget that is no number of bytes
 */
export function selectExperts(
  layers: readonly RoutedLayer[],
  profile: Profile | null,
  { budgetBytes, coreBytes, pageBytes }: Budget,
): Selection {
  const room = expectBytes("budget", budgetBytes) - expectBytes("core", coreBytes);
  const table = new ExpertTable(layers);
  const order = profile === null ? null : table.hottestFirst(table.column(profile.weights));
  const smallest = leastCost(layers, pageBytes);
  const pages = new PageCount(pageBytes);
  const chosen: ExpertUnit[] = [];
  let residentBytes = 0;
  for (let rank = 0; rank < table.length; rank++) {
    if (residentBytes + smallest > room) break;
    const unit = table.unit(order?.[rank] ?? rank);
    const cost = pages.cost(unit);
    if (residentBytes + cost > room) continue;
    pages.take(unit);
    residentBytes += cost;
    chosen.push(unit);
  }
  const all = layers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const { bytes } = pages;
  return { chosen, bytes, residentBytes, leftOutBytes: all - bytes, total: table.length };
}

/** The slices of the chosen experts in the order to fill them; one that several share comes once. */
export function* slicesOf({ chosen }: Pick<Selection, "chosen">): Generator<ExpertSlice> {
  const shared = new Set<string>();
  for (const unit of chosen) {
    for (const slice of slicesOfExpert(unit)) {
      if (slice.isShared) {
        const key = sharedKey(slice, slice.offset);
        if (shared.has(key)) continue;
        shared.add(key);
      }
      yield slice;
    }
  }
}

/** No expert adds fewer bytes: its edges shared with neighbours, its chunks there already. */
function leastCost(layers: readonly RoutedLayer[], pageBytes: number): number {
  const inner = (bytes: number) => Math.max(0, bytes - 2 * pageBytes);
  let least = Number.POSITIVE_INFINITY;
  for (const { stacks, singles } of layers) {
    const own = stacks.filter(({ readers }) => readers === 1);
    const stacked = own.reduce((sum, { sliceBytes }) => sum + inner(sliceBytes), 0);
    if (stacks.length > 0) least = Math.min(least, stacked);
    else
      for (const [first] of singles.values())
        least = Math.min(least, inner(first?.byteLength ?? 0));
  }
  return least;
}

function expectBytes(what: string, bytes: number): number {
  if (bytes >= 0) return bytes;
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `the ${what} is ${bytes}, and has to be a number of bytes`,
  );
}
