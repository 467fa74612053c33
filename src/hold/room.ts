import { loadShim, type Shim, SystemError } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import { messageOf } from "../describe.ts";
import type { FileSet } from "../file/file-set.ts";
import { reclaim } from "../memory/cgroup.ts";
import { unusedBytes } from "../memory/memory.ts";
import { type Plan, planRegions } from "../plan/plan.ts";
import type { Range } from "../plan/range.ts";
import type { FileRegion } from "../plan/region.ts";
import { residentBytesOfEach } from "../residency/count.ts";
import { processTree } from "./process-tree.ts";

/** How room was made. */
export type RoomBy =
  /** There was enough. */
  | "free memory"
  /** Parts of the engine's mapping were paged out, those that are not wanted first. */
  | "page-out"
  /** The cgroup was told to reclaim what was used least. */
  | "memory.reclaim"
  /** Neither was allowed, or made enough of it: what is filled may be evicted in favour of what the engine read. */
  | "nothing";

export interface Room {
  readonly by: RoomBy;
  /** Bytes of the regions that were not resident: so much room was wanted. */
  readonly wantedBytes: number;
  /** Bytes of memory that came free. */
  readonly freedBytes: number;
  /** Why a way was not taken, one sentence each. */
  readonly refusals: readonly string[];
}

export interface RoomOptions {
  readonly files?: FileSet | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Between two looks at how much is free. */
const STEP_BYTES = 128 * 1024 ** 2;

/** A way has worked when it has freed so much of what was wanted. */
const ENOUGH = 0.9;

/** Beside the regions: for what the engine allocates while they are filled. */
const SPARE_BYTES = 64 * 1024 ** 2;

/**
 * Makes room in memory for regions of files that an engine has read whole: other parts of those files leave
 * memory, as many as are needed, so that filling the regions does not evict them again.
 *
 * Pages that a process has mapped leave only by its own mapping: `posix_fadvise` passes over them.
 *
 * @param pid of the engine, or of what started it
 * @throws {@link PrefaultError} as {@link planRegions}, `PREFAULT_ABORTED`
 */
export async function makeRoom(
  pid: number,
  regions: readonly FileRegion[],
  { files, signal }: RoomOptions = {},
): Promise<Room> {
  const shim = await loadShim();
  const plan = await abortable(signal, planRegions(regions, shim, files), (late) => late.close());
  try {
    const wantedBytes = await missingBytes(plan, shim, signal);
    const free = () => unusedBytes(shim.memory()) - SPARE_BYTES;
    const before = free();
    const isEnough = () => free() >= ENOUGH * wantedBytes;
    const refusals: string[] = [];
    const room = (by: RoomBy): Room => {
      return { by, wantedBytes, freedBytes: Math.max(0, free() - before), refusals };
    };
    if (wantedBytes === 0 || isEnough()) {
      return { by: "free memory", wantedBytes, freedBytes: 0, refusals };
    }
    await pageOut(pid, plan, shim, isEnough, signal).catch(keep(refusals));
    if (isEnough()) return room("page-out");
    await abortable(signal, reclaim(pid, wantedBytes - free())).catch(keep(refusals));
    return room(isEnough() ? "memory.reclaim" : "nothing");
  } finally {
    await plan.close();
  }
}

/** Keeps what a system refused; throws everything else. */
function keep(refusals: string[]): (thrown: unknown) => void {
  return (thrown) => {
    const isRefusal = thrown instanceof SystemError || "code" in Object(thrown);
    const isOurs = Object(thrown).code === "PREFAULT_ABORTED";
    if (!isRefusal || isOurs) throw thrown;
    refusals.push(messageOf(thrown));
  };
}

async function missingBytes(plan: Plan, shim: Shim, signal?: AbortSignal): Promise<number> {
  const resident = await residentBytesOfEach(shim, plan.files, signal);
  return plan.files.reduce((sum, { ranges }, index) => {
    return sum + Math.max(0, ranges.byteLength - (resident[index] ?? 0));
  }, 0);
}

/**
 * Pages out what a process tree has mapped of the plan's files beside its ranges, until it is enough. The kernel passes
 * over a large folio of which a part is kept. To page that out as well costs more than it gains: what is kept would be
 * read again, and the engine would have to map it again.
 */
async function pageOut(
  pid: number,
  plan: Plan,
  shim: Shim,
  isEnough: () => boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  // Pages that reclaim has unmapped and could not free yet leave without any right.
  for (const { file, ranges } of shim.canEvict ? plan.files : []) {
    for (const { offset, byteLength } of gapsBetween(ranges, 0, file.byteLength)) {
      await shim.evict(file.fd, offset, byteLength);
    }
  }
  if (isEnough()) return;
  for (const each of await processTree(pid)) {
    for (const { file, ranges } of plan.files) {
      for (const mapping of (await shim.findMappings(file.path, each)) ?? []) {
        const { address, byteLength, offset } = mapping;
        for (const gap of gapsBetween(ranges, offset, offset + byteLength)) {
          for (let at = gap.offset; at < gap.offset + gap.byteLength; at += STEP_BYTES) {
            if (signal?.aborted || isEnough()) return;
            const bytes = Math.min(STEP_BYTES, gap.offset + gap.byteLength - at);
            const range = { address: address + BigInt(at - offset), byteLength: bytes };
            await shim.pageOut(each, [range]);
          }
        }
      }
    }
  }
}

/**
 * What lies between ranges, from `start` to `end`.
 *
 * @param ranges sorted, in whole pages
 */
export function* gapsBetween(
  ranges: Iterable<Range>,
  start: number,
  end: number,
): Generator<Range> {
  let at = start;
  for (const { offset, byteLength } of ranges) {
    if (offset >= end) break;
    if (offset > at) yield { offset: at, byteLength: offset - at };
    at = Math.max(at, offset + byteLength);
  }
  if (at < end) yield { offset: at, byteLength: end - at };
}
