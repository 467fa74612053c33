import { loadShim, type MemoryLock, SystemError } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import type { FileSet } from "../file/file-set.ts";
import { planRegions } from "../plan/plan.ts";
import { pagesOf } from "../plan/range.ts";
import type { FileRegion } from "../plan/region.ts";
import { formatBytes } from "../units.ts";

/** Regions that are held in memory until they are released, or this process ends. */
export interface HeldRegions {
  /** Bytes of whole pages that are locked. */
  readonly lockedBytes: number;
  /** Bytes of whole pages that were to be locked. */
  readonly wantedBytes: number;
  /** Why not all of them are; `null` when they are. */
  readonly why: string | null;
  release(): void;
}

export interface LockOptions {
  readonly files?: FileSet | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Locks regions in memory through a shared read-only mapping of their own, so that whoever else maps the
 * files finds them resident. As many as the limit on locked memory allows, from the first on. To be called
 * when the regions are resident: pages that are missing are faulted in one at a time, which takes three
 * times as long as reading them.
 *
 * @throws {@link PrefaultError} as {@link planRegions}, `PREFAULT_ABORTED`
 */
export async function lockRegions(
  regions: readonly FileRegion[],
  { files, signal }: LockOptions = {},
): Promise<HeldRegions> {
  const shim = await loadShim();
  const limit = shim.lockableBytes();
  const fitting = firstWithin(regions, limit, shim.pageBytes);
  const locks: MemoryLock[] = [];
  const release = () => {
    for (const lock of locks.splice(0)) lock.close();
  };
  const wantedBytes = sumOfPages(regions, shim.pageBytes);
  const plan = await abortable(signal, planRegions(fitting, shim, files), (late) => late.close());
  let lockedBytes = 0;
  const isCut = sumOfPages(fitting, shim.pageBytes) < wantedBytes;
  let why = isCut ? limitReason(limit) : null;
  try {
    for (const { file, ranges } of plan.files) {
      const lock = shim.openLock(file.fd, file.byteLength);
      locks.push(lock);
      for (const { offset, byteLength } of ranges) {
        const bytes = Math.min(byteLength, file.byteLength - offset);
        await abortable(signal, lock.lock(offset, bytes));
        lockedBytes += byteLength;
      }
    }
  } catch (error) {
    if (!(error instanceof SystemError)) {
      release();
      throw error;
    }
    why = error.errno === "ENOTSUP" ? "this system cannot lock files" : error.message;
  } finally {
    await plan.close();
  }
  return { lockedBytes, wantedBytes, why, release };
}

/**
 * The first regions whose pages are no more than a limit allows. The last one is cut where the limit is: a token
 * embedding alone may have more bytes than a usual limit.
 */
export function firstWithin(
  regions: readonly FileRegion[],
  limit: number,
  pageBytes: number,
): readonly FileRegion[] {
  const fitting: FileRegion[] = [];
  let left = limit;
  for (const region of regions) {
    const bytes = bytesOfPages(region, pageBytes);
    if (bytes > left) {
      const { offset = 0 } = region;
      const byteLength = left - (left % pageBytes) - (offset % pageBytes);
      return byteLength > 0 ? [...fitting, { ...region, byteLength }] : fitting;
    }
    fitting.push(region);
    left -= bytes;
  }
  return fitting;
}

function sumOfPages(regions: readonly FileRegion[], pageBytes: number): number {
  return regions.reduce((sum, region) => sum + bytesOfPages(region, pageBytes), 0);
}

function bytesOfPages({ offset = 0, byteLength = 0 }: FileRegion, pageBytes: number): number {
  return pagesOf({ offset, byteLength }, pageBytes).byteLength;
}

function limitReason(limit: number): string {
  return `the limit on locked memory is ${formatBytes(limit)}`;
}

/** How to raise the limit on locked memory, for a person. */
export const RAISE_LIMIT =
  "raise it by LimitMEMLOCK=infinity in a systemd unit, --ulimit memlock=-1 for docker run, " +
  "ulimits: memlock: -1 in a compose file, the capability IPC_LOCK in Kubernetes, or " +
  "ulimit -l unlimited in a shell that may";
