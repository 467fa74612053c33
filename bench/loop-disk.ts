import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { deviceOf } from "./machine.ts";

/** A file system on a disk of its own, which reads ahead as far as one wants. */
export interface LoopDisk {
  readonly folder: string;
  remove(): void;
}

/**
 * Makes such a disk out of a file; whatever is set for the machine's own disk stays as it is. The loop
 * device reads the file directly, so that nothing of it is cached twice.
 *
 * @returns why there can be none, where there can be none
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
    // It says of itself what the disk below says, which need not be so for what is made of it.
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
 * Bytes the device a folder lies on has read since it was there, whoever asked. Exact for a disk of
 * one's own; on the machine's disk others' reads are among them.
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
