import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MappedDevice } from "./mapper.ts";

export const MIB = 1024 ** 2;

/** Runs a program of the guest. @returns what it wrote on stdout */
export function run(name: string, ...args: string[]): string {
  return execFileSync(name, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Mounts the disk of that name, once. @returns where */
export function disk(name: string): string {
  const folder = join("/mnt", name);
  if (existsSync(folder)) return folder;
  mkdirSync(folder);
  run("mount", device(name), folder);
  return folder;
}

/** The block device of the disk of that name, found by the label of its file system. */
export function device(name: string): string {
  return run("findfs", `LABEL=${name}`).trim();
}

let overlaid: { readonly folder: string; readonly mapped: MappedDevice } | undefined;

/** A disk with a device-mapper device over it, mounted. */
export function mappedDisk() {
  if (overlaid === undefined) {
    const folder = "/mnt/mapped";
    const mapped = new MappedDevice("over", device("mapped"));
    mkdirSync(folder);
    run("mount", mapped.path, folder);
    overlaid = { folder, mapped };
  }
  return overlaid;
}

/** Writes a file without holes, to the disk. @returns its path */
export function writeFile(path: string, byteLength: number): string {
  const fd = openSync(path, "w");
  const block = Buffer.alloc(MIB, "weights of a model ");
  for (let at = 0; at < byteLength; at += MIB) {
    writeSync(fd, block, 0, Math.min(MIB, byteLength - at));
  }
  fsyncSync(fd);
  closeSync(fd);
  return path;
}

/** Makes a file of holes: it takes no disk, and its pages fill the page cache. @returns its path */
export function makeHoles(path: string, byteLength: number): string {
  const fd = openSync(path, "w");
  ftruncateSync(fd, byteLength);
  closeSync(fd);
  return path;
}

/** Empties the page cache, and proves it of the file. */
export function makeCold(path: string): void {
  for (let round = 0; round < 10; round++) {
    run("sync");
    writeFileSync("/proc/sys/vm/drop_caches", "3");
    if (judgedBytes(path) === 0) return;
  }
  assert.equal(judgedBytes(path), 0, `${path} is not cold`);
}

/** Waits until it holds. @throws when it does not within that time */
export async function until(holds: () => boolean, what: string, timeoutMs = 60_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
    await sleep(250);
  }
}

/** Bytes of the file in the page cache, as util-linux's `fincore` counts them. */
export function judgedBytes(path: string): number {
  return Number(run("fincore", "--bytes", "--noheadings", "--output", "RES", path));
}

/** Requests of the disk that reached it, and sectors they read (kernel Documentation/block/stat.rst). */
export function readsOf(name: string): { readonly requests: number; readonly sectors: number } {
  const stat = readFileSync(`/sys/class/block/${basename(device(name))}/stat`, "utf8");
  const [requests = 0, , sectors = 0] = stat.trim().split(/ +/).map(Number);
  return { requests, sectors };
}
