import { execFileSync } from "node:child_process";
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";

const BLOCK_BYTES = 1024 ** 2;

/** Bytes that are different in every page and every file offset that is looked at. */
export function byteAt(offset: number): number {
  return Math.imul(offset + 1, 2_654_435_761) >>> 24;
}

/** Writes a file whose bytes are those of {@link byteAt}, and has them on the disk. */
export function writeDataFile(path: string, byteLength: number): string {
  const fd = openSync(path, "w");
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  for (let at = 0; at < byteLength; at += BLOCK_BYTES) {
    const length = Math.min(BLOCK_BYTES, byteLength - at);
    for (let index = 0; index < length; index++) block[index] = byteAt(at + index);
    writeSync(fd, block, 0, length, at);
  }
  fdatasyncSync(fd);
  closeSync(fd);
  return path;
}

/** What util-linux's `fincore` says is resident of a file, bytes; `undefined` where there is none. */
export function fincore(path: string): number | undefined {
  try {
    const output = execFileSync("fincore", ["--bytes", "--raw", "--noheadings", path], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return Number(output.trim().split(/\s+/)[0]);
  } catch {
    return undefined;
  }
}

/** Why a test that asks `fincore` cannot run, if it cannot. */
export const hasFincore = fincore(process.execPath) !== undefined;
