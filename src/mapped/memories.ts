import { setImmediate as turn } from "node:timers/promises";
import type { Shim } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import { ARENA_BYTES, type Layout, locate } from "../arena/layout.ts";
import { type Mapping, placeLayout } from "../arena/mapping.ts";
import { sharedBuffer } from "../control/arena-control.ts";
import { messageOf } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import type { FileSource, OpenFile } from "../file/open-file.ts";
import { formatBytes } from "../units.ts";

/** A memory of a mapped model. */
export interface ModelMemory {
  readonly memory: WebAssembly.Memory;
  /** Bytes to add to a extent's start. */
  readonly alignOffset: number;
}

/** The memories a model's tensors lie in, by the number of the layout's arena. */
export interface Memories {
  readonly memories: readonly ModelMemory[];
  /** What a sweep fills; `null` where the bytes were copied and there is nothing to fill. */
  readonly mapping: Mapping | null;
  /** After it, every view reads zeros. The event loop turns meanwhile. */
  close(): Promise<void>;
}

/** Maps the files. @throws {@link PrefaultError} `PREFAULT_MAP_FAILED` */
export function mapIntoArenas(layout: Layout, files: readonly FileSource[], shim: Shim): Memories {
  const arenas = placeLayout(layout, files, shim);
  return {
    memories: arenas,
    mapping: { arenas, keepPageTables: true, release() {} },
    async close() {
      // Not handed to the next sweep: a view that somebody still holds would show its file.
      for (const arena of arenas) {
        arena.restore();
        await turn();
      }
    },
  };
}

const WASM_PAGE_BYTES = 65_536;
const COPY_BYTES = 16 * 1024 ** 2;

/** Zeroing this much by hand takes some 8 ms, and giving it back to the system 1 or 2. */
const ZERO_BYTES = 16 * 1024 ** 2;

/**
 * Reads the files into memories just as large as needed.
 *
 * @throws {@link PrefaultError} `PREFAULT_FILE_CHANGED`, `PREFAULT_READ_FAILED`, `PREFAULT_ABORTED`,
 *   and `PREFAULT_OUT_OF_MEMORY` where a memory cannot be had
 */
export async function copyIntoMemories(
  layout: Layout,
  files: readonly OpenFile[],
  shim: Shim,
  signal: AbortSignal | undefined,
): Promise<Memories> {
  const memories = Array.from({ length: layout.arenas }, (_, arena) => {
    const ends = layout.extents
      .filter((extent) => extent.arena === arena)
      .map((extent) => extent.start + extent.byteLength);
    const pages = Math.ceil(Math.max(...ends) / WASM_PAGE_BYTES);
    return { memory: newMemory(pages, files), alignOffset: 0 };
  });
  for (const { offset, byteLength } of layout.ranges) {
    const { extent, fileOffset } = locate(layout.extents, offset);
    const file = files[extent.file];
    const memory = memories[extent.arena]?.memory;
    if (file === undefined || memory === undefined) throw new RangeError("no such file or memory");
    const to = new Uint8Array(sharedBuffer(memory), offset % ARENA_BYTES, byteLength);
    await readInto(to, file, fileOffset, signal);
  }
  return {
    memories,
    mapping: null,
    async close() {
      for (const { memory } of memories) await zero(sharedBuffer(memory), shim);
    },
  };
}

function newMemory(pages: number, files: readonly OpenFile[]): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    const path = files[0]?.path;
    const needed = formatBytes(pages * WASM_PAGE_BYTES);
    throw new PrefaultError(
      "PREFAULT_OUT_OF_MEMORY",
      `${path} cannot be copied: a WebAssembly memory of ${needed} cannot be had: ${messageOf(cause)}`,
      { cause, path },
    );
  }
}

/**
 * Zeroes a memory in steps, so that the loop never waits long: by fresh pages in place of the old
 * ones, which also gives their memory back at once; by hand where the system cannot do that.
 */
async function zero(buffer: SharedArrayBuffer, shim: Shim): Promise<void> {
  const base = shim.canPlace ? shim.addressOf(buffer) : null;
  for (let at = 0; at < buffer.byteLength; at += ZERO_BYTES) {
    const byteLength = Math.min(ZERO_BYTES, buffer.byteLength - at);
    if (base === null) new Uint8Array(buffer, at, byteLength).fill(0);
    else shim.restore(base + BigInt(at), byteLength);
    await turn();
  }
}

/** Fills `to` from the file; what of its last page lies past the end of the file stays zero. */
async function readInto(
  to: Uint8Array,
  file: OpenFile,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const end = Math.min(to.byteLength, file.byteLength - offset);
  for (let at = 0; at < end; ) {
    const length = Math.min(COPY_BYTES, end - at);
    const reading = file.handle.read(to, at, length, offset + at).catch((cause: unknown) => {
      throw readFailed(file, offset + at, cause);
    });
    const { bytesRead } = await abortable(signal, reading);
    if (bytesRead === 0) {
      throw new PrefaultError("PREFAULT_FILE_CHANGED", `${file.path} shrank while it was read`, {
        path: file.path,
        offset: offset + at,
      });
    }
    at += bytesRead;
  }
}

function readFailed({ path }: OpenFile, offset: number, cause: unknown): PrefaultError {
  const errno = (cause as NodeJS.ErrnoException | undefined)?.code;
  const message = `${path} could not be read at byte ${offset}: ${errno ?? messageOf(cause)}`;
  return new PrefaultError("PREFAULT_READ_FAILED", message, { cause, errno, path, offset });
}
