import { loadShim, type Shim } from "../../shims/index.ts";
import { allowedBytes } from "../gate.ts";
import { availableBytes } from "../memory/memory.ts";
import type { Tensor } from "../model/model.ts";
import type { ModelPlan } from "../passes/index.ts";
import { pagesOf, type Range } from "../plan/range.ts";
import type { FileRegion } from "../plan/region.ts";
import { evict } from "../residency/evict.ts";
import { formatBytes } from "../units.ts";
import { gapsBetween } from "./room.ts";

/**
 * Whether what stays on the CPU would not fit beside the page cache of what went elsewhere: then the system
 * takes memory from both. Never where the system cannot drop it: nothing is to be done about it then.
 */
export function crowds(
  plans: readonly ModelPlan[],
  shim: Pick<Shim, "memory" | "canEvict">,
): boolean {
  if (!shim.canEvict) return false;
  const elsewhere = plans.reduce((sum, plan) => sum + bytesOf(elsewhereOf(plan)), 0);
  const wanted = plans
    .flatMap(({ runs }) => runs.flatMap(({ regions }) => regions))
    .reduce((sum, { tensor }) => sum + tensor.byteLength, 0);
  return elsewhere > 0 && elsewhere + wanted > allowedBytes(availableBytes(0, shim.memory()));
}

/**
 * Drops from the page cache what an engine has copied to the GPU: the whole pages that hold nothing else.
 * Pages that a process still has mapped stay, and so do large folios that hold something else as well.
 *
 * @returns bytes that were dropped
 * @throws {@link PrefaultError} as {@link evict}
 */
export async function dropElsewhere(
  plans: readonly ModelPlan[],
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<number> {
  const { canEvict, pageBytes } = await loadShim();
  if (!canEvict) return 0;
  const regions = plans.flatMap((plan) => regionsElsewhere(plan, pageBytes));
  const { residentBytesBefore, residentBytesAfter } = await evict(regions, signal && { signal });
  const dropped = (residentBytesBefore ?? 0) - (residentBytesAfter ?? 0);
  log(`prefault: ${formatBytes(dropped)} that are on the GPU were dropped from the page cache`);
  return dropped;
}

/**
 * The pages that no tensor touches that stays, nor the header. Neighbours are one region, with the padding between
 * them: Linux keeps a large folio of which it is told to drop a part (seen on ext4, Linux 6.18: a quarter stayed when
 * each tensor was dropped by itself).
 */
function regionsElsewhere(plan: ModelPlan, pageBytes: number): FileRegion[] {
  const isElsewhere = new Set<Tensor>(elsewhereOf(plan));
  return plan.model.files.flatMap(({ path }, index) => {
    const tensors = plan.model.tensors
      .filter(({ file }) => file === index)
      .sort((a, b) => a.offset - b.offset);
    const ends = tensors.filter((tensor) => isElsewhere.has(tensor)).map(endOf);
    const end = Math.max(0, ...ends);
    const header = { offset: 0, byteLength: tensors[0]?.offset ?? 0 };
    const kept = [header, ...tensors.filter((tensor) => !isElsewhere.has(tensor))];
    const gaps = gapsBetween(
      kept.map((range) => pagesOf(range, pageBytes)),
      0,
      end - (end % pageBytes),
    );
    return Array.from(gaps, (gap) => ({ path, ...gap }));
  });
}

function elsewhereOf({ elsewhere }: ModelPlan): Tensor[] {
  return elsewhere.filter(({ place }) => place === "gpu").map(({ tensor }) => tensor);
}

function endOf({ offset, byteLength }: Range): number {
  return offset + byteLength;
}

function bytesOf(ranges: readonly { readonly byteLength: number }[]): number {
  return ranges.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
