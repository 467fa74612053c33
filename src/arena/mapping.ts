import { fstatSync } from "node:fs";
import { type Shim, SystemError } from "../../shims/index.ts";
import { messageOf } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import type { FileSource } from "../file/open-file.ts";
import { type Arena, returnArena, takeArena } from "./arena.ts";
import type { Layout } from "./layout.ts";
import { openViews, type Views } from "./views.ts";

/** Files laid into arenas, until they are released. */
export interface Mapping {
  readonly arenas: readonly Arena[];
  /** The views of the extents, on systems that cannot map files into arenas. */
  readonly views?: Views;
  /** Whether the mapping stays in use after a sweep, so that its page tables are kept. */
  readonly keepPageTables: boolean;
  /** Unmaps the files. Called when a sweep is over, once or more. Never throws. */
  release(): void;
}

/**
 * Maps files into arenas for one sweep, or as views on systems that cannot do that.
 *
 * @throws as {@link placeLayout}
 */
export function mapForSweep(layout: Layout, files: readonly FileSource[], shim: Shim): Mapping {
  if (!shim.canPlace) return viewForSweep(layout, files, shim);
  const arenas = placeLayout(layout, files, shim);
  const release = () => {
    for (const arena of arenas.splice(0)) returnArena(arena);
  };
  return { arenas, keepPageTables: false, release };
}

function viewForSweep(layout: Layout, files: readonly FileSource[], shim: Shim): Mapping {
  try {
    const views = openViews(layout, files, shim);
    return { arenas: [], views, keepPageTables: false, release: views.close };
  } catch (cause) {
    throw mapFailed(cause, files);
  }
}

/** @throws {@link PrefaultError} `PREFAULT_MAP_FAILED`, with nothing left mapped */
export function placeLayout(layout: Layout, files: readonly FileSource[], shim: Shim): Arena[] {
  const arenas: Arena[] = [];
  try {
    for (let count = 0; count < layout.arenas; count++) arenas.push(takeArena(shim));
    for (const extent of layout.extents) {
      arenas[extent.arena]?.place(extent, files[extent.file]?.fd ?? -1);
    }
    return arenas;
  } catch (cause) {
    for (const arena of arenas) returnArena(arena);
    throw mapFailed(cause, files);
  }
}

function mapFailed(cause: unknown, files: readonly FileSource[]): PrefaultError {
  // Windows refuses to map past the end of a file.
  const shrunk = files.find(
    // Only local files: a server may not answer, and this is the main thread.
    ({ fd, byteLength, facts }) => facts.isLocal && fstatSync(fd).size < byteLength,
  );
  if (shrunk !== undefined) {
    const message = `${shrunk.path} shrank from ${shrunk.byteLength} bytes before it was mapped`;
    return new PrefaultError("PREFAULT_FILE_CHANGED", message, { cause, path: shrunk.path });
  }
  const errno = cause instanceof SystemError ? cause.errno : undefined;
  const [first, ...others] = files;
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  const message = `${first?.path ?? "nothing"}${more} could not be mapped: ${messageOf(cause)}`;
  return new PrefaultError("PREFAULT_MAP_FAILED", message, { cause, errno, path: first?.path });
}
