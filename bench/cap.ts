import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { deviceOf } from "./machine.ts";

/** A cgroup whose reads from one device are limited to a rate. */
export type Cap =
  | { readonly cgroup: string; readonly missing?: undefined; remove(): void }
  | { readonly missing: string };

const V1 = "/sys/fs/cgroup/blkio";
const V2 = "/sys/fs/cgroup";

/**
 * Caps the rate of reads from the device under a folder, so that a fill on a noisy disk can be compared
 * with a known rate.
 */
export function capReads(folder: string, bytesPerSecond: number): Cap {
  if (process.getuid?.() !== 0) return { missing: "capping the device needs root" };
  const disk = diskOf(folder);
  if (disk === null) return { missing: `${folder} lies on no block device` };
  const isV1 = existsSync(`${V1}/blkio.throttle.read_bps_device`);
  const group = `${isV1 ? V1 : V2}/prefault-bench-${process.pid}`;
  const remove = () => {
    try {
      rmdirSync(group);
    } catch {
      // A process of the group still runs. A leftover empty group does no harm.
    }
  };
  try {
    if (!isV1) writeFileSync(`${V2}/cgroup.subtree_control`, "+io");
    mkdirSync(group);
    process.once("exit", remove);
    if (isV1) writeFileSync(`${group}/blkio.throttle.read_bps_device`, `${disk} ${bytesPerSecond}`);
    else writeFileSync(`${group}/io.max`, `${disk} rbps=${bytesPerSecond}`);
  } catch (error) {
    remove();
    return { missing: `no blkio cgroup: ${error instanceof Error ? error.message : error}` };
  }
  return { cgroup: `${group}/cgroup.procs`, remove };
}

/** Limits are set on whole disks; a partition's folder lies inside its disk's. */
function diskOf(folder: string): string | null {
  const block = `/sys/dev/block/${deviceOf(folder)}`;
  if (!existsSync(block)) return null;
  const real = realpathSync(block);
  const disk = existsSync(`${real}/partition`) ? dirname(real) : real;
  return readFileSync(`${disk}/dev`, "utf8").trim();
}
