import type { Shim } from "../../shims/index.ts";
import { ARENA_BYTES, type Layout, locate } from "../arena/layout.ts";
import { type Mapping, placeLayout } from "../arena/mapping.ts";
import { sharedBuffer } from "../control.ts";
import { PrefaultError } from "../errors.ts";
import type { FileSource, OpenFile } from "../files.ts";

/** A memory of a mapped model. */
export interface ModelMemory {
  readonly memory: WebAssembly.Memory;
  /** Bytes to add to a window's start. */
  readonly skew: number;
}

/** The memories a model's tensors lie in, by the number of the layout's arena. */
export interface Memories {
  readonly memories: readonly ModelMemory[];
  /** What a sweep fills; `null` where the bytes were copied and there is nothing to fill. */
  readonly mapping: Mapping | null;
  /** After it, every view reads zeros. */
  close(): void;
}

/** Maps the files. @throws {@link PrefaultError} `PREFAULT_MAP_FAILED` */
export function mapIntoArenas(layout: Layout, files: readonly FileSource[], shim: Shim): Memories {
  const arenas = placeLayout(layout, files, shim);
  return {
    memories: arenas,
    mapping: { arenas, keepTables: true, release() {} },
    close() {
      // Not handed to the next sweep: a view that somebody still holds would show its file.
      for (const arena of arenas) arena.restore();
    },
  };
}

const WASM_PAGE_BYTES = 65_536;
const COPY_BYTES = 16 * 1024 ** 2;

/**
 * Reads the files into memories just as large as needed.
 *
 * @throws {@link PrefaultError} `PREFAULT_FILE_CHANGED`
 */
export async function copyIntoMemories(
  layout: Layout,
  files: readonly OpenFile[],
): Promise<Memories> {
  const memories = Array.from({ length: layout.arenas }, (_, arena) => {
    const ends = layout.windows
      .filter((window) => window.arena === arena)
      .map((window) => window.start + window.byteLength);
    const pages = Math.ceil(Math.max(...ends) / WASM_PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    return { memory, skew: 0 };
  });
  for (const { offset, byteLength } of layout.pieces) {
    const { window, fileOffset } = locate(layout.windows, offset);
    const file = files[window.file];
    const memory = memories[window.arena]?.memory;
    if (file === undefined || memory === undefined) throw new RangeError("no such file or memory");
    const to = new Uint8Array(sharedBuffer(memory), offset % ARENA_BYTES, byteLength);
    await readInto(to, file, fileOffset);
  }
  return {
    memories,
    mapping: null,
    close() {
      for (const { memory } of memories) new Uint8Array(sharedBuffer(memory)).fill(0);
    },
  };
}

/** Fills `to` from the file; what of its last page lies past the end of the file stays zero. */
async function readInto(to: Uint8Array, file: OpenFile, offset: number): Promise<void> {
  const end = Math.min(to.byteLength, file.byteLength - offset);
  for (let at = 0; at < end; ) {
    const length = Math.min(COPY_BYTES, end - at);
    const { bytesRead } = await file.handle.read(to, at, length, offset + at);
    if (bytesRead === 0) {
      throw new PrefaultError("PREFAULT_FILE_CHANGED", `${file.path} shrank while it was read`, {
        path: file.path,
        offset: offset + at,
      });
    }
    at += bytesRead;
  }
}
