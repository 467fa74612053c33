import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type * as Package from "../../src/index.ts";

/** What the package suite runs on. */
export interface Installation {
  /** The built package, as a user imports it. */
  readonly prefault: typeof Package;
  /** A folder of its own. */
  readonly folder: string;
  /** The shim it should have chosen. */
  readonly shim: "linux" | "windows" | "portable";
  /** Not on Linux before 5.14. */
  readonly canPopulate: boolean;
  /** Makes a file one that may not be read, as far as this system and user allow; undone by the result. */
  deny(path: string): Promise<(() => void) | null>;
}

export const MIB = 1024 ** 2;
export const BYTES = 9 * MIB + 123;

/** Of this system: the kernel names it with each mapping (proc_pid_smaps(5)). */
const PAGE_BYTES = process.platform === "linux" ? linuxPageBytes() : 4096;

/** What residency counts so many bytes as, from the start of a page on. */
export function wholePages(byteLength: number): number {
  return Math.ceil(byteLength / PAGE_BYTES) * PAGE_BYTES;
}

function linuxPageBytes(): number {
  const [, kib] =
    /^KernelPageSize: +(\d+) kB$/m.exec(readFileSync("/proc/self/smaps", "utf8")) ?? [];
  return Number(kib) * 1024;
}

export function write({ folder }: Installation, name: string, byteLength = BYTES): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.alloc(byteLength, "weights"));
  return path;
}

/** A safetensors file: a header's length, the header, the data. */
export function writeModel({ folder }: Installation, name: string): string {
  const tensor = { dtype: "U8", shape: [BYTES], data_offsets: [0, BYTES] };
  const header = Buffer.from(JSON.stringify({ weights: tensor }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat([length, header, Buffer.alloc(BYTES, "weights")]));
  return path;
}

export const quiet = { log: () => {}, gate: "always" } as const;

/** Prefaults what cannot be, and says which code the report has. */
export async function codeOf(
  { prefault }: Installation,
  target: Package.Target,
  options: Package.PrefaultOptions = {},
): Promise<string | undefined> {
  const report = await prefault.prefault(target, { ...quiet, ...options });
  assert.equal(report.ran && report.error === undefined, false);
  return report.error?.code;
}
