import { loadShim, type Shim } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import { FileSet } from "../file/file-set.ts";
import { describeOpenFile } from "../file/open-file.ts";
import { allowedBytes } from "../gate.ts";
import { availableBytes } from "../memory/memory.ts";
import type { ModelPlan } from "../passes/index.ts";
import type { Range } from "../plan/range.ts";
import { inSteps, residentBytes } from "../residency/count.ts";

/**
 * Whether what stays on the CPU would not fit beside the page cache of what went elsewhere: then the system
 * takes memory from both.
 */
export function crowds(plans: readonly ModelPlan[], shim: Pick<Shim, "memory">): boolean {
  const elsewhere = plans.reduce((sum, plan) => sum + bytesOf(elsewhereOf(plan)), 0);
  const wanted = plans
    .flatMap(({ runs }) => runs.flatMap(({ regions }) => regions))
    .reduce((sum, { tensor }) => sum + tensor.byteLength, 0);
  return elsewhere > 0 && elsewhere + wanted > allowedBytes(availableBytes(0, shim.memory()));
}

/**
 * Drops from the page cache what an engine has copied to the GPU: the whole pages that hold nothing else.
 * Pages that a process still has mapped stay.
 *
 * @returns bytes that were dropped
 * @throws {@link PrefaultError} as {@link FileSet.open}, `PREFAULT_ABORTED`
 */
export async function dropElsewhere(
  plans: readonly ModelPlan[],
  signal?: AbortSignal,
): Promise<number> {
  const shim = await loadShim();
  if (!shim.canEvict) return 0;
  const files = new FileSet();
  let dropped = 0;
  try {
    for (const plan of plans) {
      for (const { file, offset, byteLength } of elsewhereOf(plan)) {
        const { path } = plan.model.files[file] ?? {};
        const inner = innerPages({ offset, byteLength }, shim.pageBytes);
        if (path === undefined || inner.byteLength === 0) continue;
        const opened = await abortable(signal, files.open(path));
        const described = await describeOpenFile(opened, shim);
        const before = (await residentBytes(shim, described, [inner], signal)) ?? 0;
        if (before === 0) continue;
        for await (const step of inSteps([inner], signal)) {
          await abortable(signal, shim.evict(opened.fd, step.offset, step.byteLength));
        }
        dropped += before - ((await residentBytes(shim, described, [inner], signal)) ?? before);
      }
    }
    return dropped;
  } finally {
    await files.close();
  }
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
