import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { deviceOf } from "./machine.ts";

/** A file system on a loop device of its own, with a chosen read-ahead. */
export interface LoopDisk {
  readonly folder: string;
  remove(): void;
}

/**
 * Makes a loop disk from a file. The settings of the machine's own disk are not changed. The loop device
 * reads the file by direct I/O, so that nothing is cached twice.
 *
 * @returns the reason in words where it cannot be made
 */
export function makeLoopDisk(
  parent: string,
  byteLength: number,
  readAheadKib: number,
): LoopDisk | string {
  if (process.getuid?.() !== 0) return "mounting a disk image needs root";
  const image = join(parent, `disk-${readAheadKib}.img`);
  const folder = join(parent, `disk-${readAheadKib}`);
  let device: string | undefined;
  const remove = () => {
    spawnSync("umount", ["-l", folder]);
    if (device !== undefined) spawnSync("losetup", ["-d", device]);
    rmSync(image, { force: true });
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(image, "");
    truncateSync(image, byteLength);
    run("mkfs.ext4", "-q", "-F", image);
    device = run("losetup", "--find", "--show", "--direct-io=on", image);
    process.once("exit", remove);
    const queue = `/sys/block/${basename(device)}/queue`;
    writeFileSync(`${queue}/read_ahead_kb`, String(readAheadKib));
    // A loop device inherits this from the disk below, which may be a virtual one that says 1.
    writeFileSync(`${queue}/rotational`, "0");
    run("mount", device, folder);
    const set = Number(readFileSync(`${queue}/read_ahead_kb`, "utf8"));
    if (set !== readAheadKib) throw new Error(`it reads ${set} KiB ahead`);
    return { folder, remove };
  } catch (error) {
    remove();
    return `no disk image: ${error instanceof Error ? error.message : error}`;
  }
}

/**
 * Bytes that the device under a folder has read so far, for all processes: exact for a loop disk of
 * one's own; on the machine's disk other programs' reads are included.
 */
export function bytesReadBy(folder: string): number {
  const sectors = readFileSync(`/sys/dev/block/${deviceOf(folder)}/stat`, "utf8")
    .trim()
    .split(/\s+/);
  return Number(sectors[2]) * 512; // Documentation/block/stat.rst: sectors are of 512 bytes
}

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command}: ${error?.message ?? stderr.trim()}`);
  return stdout.trim();
}
