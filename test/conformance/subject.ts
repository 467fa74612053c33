import assert from "node:assert/strict";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Shim, SystemError } from "../../shims/index.ts";

/** What the shim suite runs on. */
export interface Subject {
  readonly shim: Shim;
  /** A folder of its own, on a real file system. */
  readonly folder: string;
}

/**
 * Not a multiple of any page size. Ends in the last quarter of a 16 KiB page, so that a system with
 * pages of 4 KiB can pose as one with those: beyond the file's last page lies a signal.
 */
export const FILE_BYTES = 3 * 1024 ** 2 + 12 * 1024 + 123;

/** Each place in the file tells where it is, and no byte is 0. */
export const CONTENT = Uint8Array.from({ length: FILE_BYTES }, (_, at) => (at % 251) + 1);

/** Writes a file, and opens it for the length of `use`. */
export function withFile<T>(
  { folder }: Subject,
  name: string,
  use: (fd: number, path: string) => T,
): T {
  const path = join(folder, name);
  writeFileSync(path, CONTENT);
  const fd = openSync(path, "r");
  try {
    return use(fd, path);
  } finally {
    closeSync(fd);
  }
}

export function wholePages({ pageBytes }: Shim, byteLength = FILE_BYTES): number {
  return Math.ceil(byteLength / pageBytes) * pageBytes;
}

/** Lays the file into a WebAssembly memory for the length of `use`. */
export function withPlaced<T>(
  shim: Shim,
  fd: number,
  use: (memory: WebAssembly.Memory, start: number, address: bigint) => T,
): T {
  const memory = new WebAssembly.Memory({ initial: 80, maximum: 80, shared: true });
  const start = 65_536;
  const address = shim.addressOf(memory.buffer as unknown as SharedArrayBuffer) + BigInt(start);
  shim.place(address, wholePages(shim), fd, 0);
  try {
    return use(memory, start, address);
  } finally {
    shim.restore(address, wholePages(shim));
  }
}

/** Maps the file as this system does, wherever that is, for the length of `use`. */
export function withMapped<T>(shim: Shim, fd: number, use: (address: bigint) => T): T {
  if (shim.canPlace) return withPlaced(shim, fd, (_memory, _start, address) => use(address));
  const view = shim.openView(fd, 0, FILE_BYTES);
  assert.ok(view, "a shim that fills either places or views");
  try {
    return use(view.address);
  } finally {
    view.close();
  }
}

/** As {@link withFile}, for what asks asynchronously. */
export async function withFileAsync(
  { folder }: Subject,
  name: string,
  use: (fd: number, path: string) => Promise<void>,
): Promise<void> {
  const path = join(folder, name);
  writeFileSync(path, CONTENT);
  const fd = openSync(path, "r");
  try {
    await use(fd, path);
  } finally {
    closeSync(fd);
  }
}

/** A failure names the call and the system's reason. */
export function fails(act: () => unknown, errno: RegExp): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof SystemError, `${error} is a SystemError`);
    assert.match(error.errno, errno);
    assert.match(error.message, /\w+.* failed with \S+/);
    return true;
  });
}

/** "I do not do that", which is not the same as "it did not work". */
export function refuses(act: () => unknown): void {
  fails(act, /^ENOTSUP$/);
}
