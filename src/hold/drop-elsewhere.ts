import { loadShim, type Shim } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import { FileSet } from "../file/file-set.ts";
import { describeOpenFile } from "../file/open-file.ts";
import { allowedBytes } from "../gate.ts";
import { availableBytes } from "../memory/memory.ts";
import type { Tensor } from "../model/model.ts";
import type { ModelPlan } from "../passes/index.ts";
import type { Range } from "../plan/range.ts";
import { inSteps, residentBytes } from "../residency/count.ts";
import { writeBack } from "../residency/evict.ts";
import { formatBytes } from "../units.ts";

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
 * @throws {@link PrefaultError} as {@link FileSet.open}, `PREFAULT_ABORTED`
 */
export async function dropElsewhere(
  plans: readonly ModelPlan[],
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<number> {
  const shim = await loadShim();
  if (!shim.canEvict) return 0;
  const files = new FileSet();
  let dropped = 0;
  try {
    for (const plan of plans) {
      for (const { file, ...range } of rangesElsewhere(plan)) {
        const { path } = plan.model.files[file] ?? {};
        const inner = innerPages(range, shim.pageBytes);
        if (path === undefined || inner.byteLength === 0) continue;
        const opened = await abortable(signal, files.open(path));
        const described = await describeOpenFile(opened, shim);
        const before = (await residentBytes(shim, described, [inner], signal)) ?? 0;
        if (before === 0) continue;
        await abortable(signal, writeBack(opened));
        for await (const step of inSteps([inner], signal)) {
          await abortable(signal, shim.evict(opened.fd, step.offset, step.byteLength));
        }
        dropped += before - ((await residentBytes(shim, described, [inner], signal)) ?? before);
      }
    }
    log(`prefault: ${formatBytes(dropped)} that are on the GPU were dropped from the page cache`);
    return dropped;
  } finally {
    await files.close();
  }
}

/**
 * Neighbours in a file as one range, with the padding between them: Linux keeps a large folio of which it is told
 * to drop a part (seen on ext4, Linux 6.18: a quarter stayed when each tensor was dropped by itself).
 */
function rangesElsewhere(plan: ModelPlan): (Range & { readonly file: number })[] {
  const elsewhere = new Set<Tensor>(elsewhereOf(plan));
  const inFileOrder = plan.model.tensors.toSorted((a, b) => a.file - b.file || a.offset - b.offset);
  const ranges: { file: number; offset: number; byteLength: number }[] = [];
  let last: (typeof ranges)[number] | undefined;
  /** Of what stays on the CPU: headers that are wrong may let tensors overlap. */
  let kept = { file: -1, end: 0 };
  for (const tensor of inFileOrder) {
    const { file, offset, byteLength } = tensor;
    if (!elsewhere.has(tensor)) {
      if (last?.file === file) last.byteLength = Math.min(last.byteLength, offset - last.offset);
      last = undefined;
      kept = { file, end: Math.max(kept.file === file ? kept.end : 0, offset + byteLength) };
      continue;
    }
    const start = kept.file === file ? Math.max(offset, kept.end) : offset;
    const end = Math.max(start, offset + byteLength);
    if (last?.file === file) {
      last.byteLength = Math.max(last.byteLength, end - last.offset);
    } else {
      last = { file, offset: start, byteLength: end - start };
      ranges.push(last);
    }
  }
  return ranges;
}

function elsewhereOf({ elsewhere }: ModelPlan) {
  return elsewhere.filter(({ place }) => place === "gpu").map(({ tensor }) => tensor);
}

function bytesOf(ranges: readonly { readonly byteLength: number }[]): number {
  return ranges.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** The whole pages inside a range; none where it has none. */
export function innerPages({ offset, byteLength }: Range, pageBytes: number): Range {
  const start = Math.ceil(offset / pageBytes) * pageBytes;
  const end = Math.floor((offset + byteLength) / pageBytes) * pageBytes;
  return { offset: start, byteLength: Math.max(0, end - start) };
}
