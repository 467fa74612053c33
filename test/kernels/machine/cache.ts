import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Kept between runs: a kernel is 35 to 100 MB to download. Removing it is always safe. */
export const CACHE = join(tmpdir(), "prefault-kernels");

/** A failure that says why a kernel cannot be booted here: a package, a tool or a mirror is missing. */
export class Unavailable extends Error {}

/**
 * A path in the cache, made by `make` when it is not there yet. What fails halfway leaves nothing.
 *
 * @param make is given a path beside the final one to write to
 */
export function cached(name: string, make: (path: string) => void): string {
  const path = join(CACHE, name);
  if (existsSync(path)) return path;
  const partial = `${path}.partial-${process.pid}`;
  mkdirSync(join(path, ".."), { recursive: true });
  rmSync(partial, { recursive: true, force: true });
  make(partial);
  // Another run may have made it meanwhile.
  if (existsSync(path)) rmSync(partial, { recursive: true });
  else renameSync(partial, path);
  return path;
}
