import type { Shim } from "../../shims/index.ts";
import { ArenaControl, sharedBuffer } from "../control/arena-control.ts";
import { ARENA_BYTES, type Extent, PMD_BYTES } from "./layout.ts";

declare global {
  namespace WebAssembly {
    // For users whose `lib` has no "dom"; where there is one, the two merge.
    interface Memory {
      grow(delta: number): number;
    }
  }
}

/**
 * One page less than a memory can have: V8 counts the bytes of a view that is sent to another thread
 * in 32 bits (`WriteJSArrayBufferView`), so a message with a view of all 2^32 bytes never arrives.
 * Layouts leave the last megabytes alone anyway.
 */
const PAGES = ARENA_BYTES / 65_536 - 1;

/** A span of an arena, in bytes of its linear memory. */
interface Span {
  readonly start: number;
  readonly byteLength: number;
}

/**
 * A shared WebAssembly memory of 4 GiB into which chunks of files are mapped. The 4 GiB are
 * addresses: memory is taken only by pages that are touched, and those belong to the page cache.
 */
export class Arena {
  readonly memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
  readonly control: ArenaControl;
  /** Virtual address of byte 0 of the memory. */
  readonly base: bigint;
  /**
   * Bytes to add to a extent's start so that address and file offset agree modulo a folio. V8 aligns
   * its memories to 64 KiB only.
   */
  readonly alignOffset: number;
  readonly #shim: Shim;
  readonly #placed: Span[] = [];

  constructor(shim: Shim) {
    const buffer = sharedBuffer(this.memory);
    this.#shim = shim;
    this.control = new ArenaControl(buffer);
    this.base = shim.addressOf(buffer);
    const folio = BigInt(PMD_BYTES);
    this.alignOffset = Number((folio - (this.base % folio)) % folio);
  }

  /** Maps a extent of an open file into the memory. @throws {@link SystemError} */
  place(extent: Extent, fd: number): void {
    const { byteLength, offset } = extent;
    const start = extent.start + this.alignOffset;
    const address = this.base + BigInt(start);
    // Noted before the call: a mapping that failed half-way is restored like any other.
    this.#placed.push({ start, byteLength });
    this.#shim.place(address, byteLength, fd, offset);
    // Where the kernel takes it, what is filled through this mapping is read in large folios.
    this.#shim.advise(address, byteLength, "huge-pages");
  }

  /**
   * Puts ordinary zero pages back, which is what V8 expects under its memory. Idempotent.
   *
   * @throws {@link SystemError}
   */
  restore(): void {
    for (let span = this.#placed.at(-1); span !== undefined; span = this.#placed.at(-1)) {
      this.#shim.restore(this.base + BigInt(span.start), span.byteLength);
      this.#placed.pop();
    }
  }
}

/**
 * Arenas wait here for the next sweep: V8 gives the addresses of a memory back only when it collects
 * garbage, and making one again takes milliseconds. Sixteen serve a model of 64 GiB.
 */
const MOST_SPARE = 16;
const spare: Arena[] = [];

/**
 * An arena with nothing mapped into it.
 *
 * @throws Error where there is no WebAssembly, RangeError when the process is out of addresses
 */
export function takeArena(shim: Shim): Arena {
  if (typeof WebAssembly === "undefined") {
    throw new Error("this process has no WebAssembly (node --jitless)");
  }
  return spare.pop() ?? new Arena(shim);
}

/**
 * Takes an arena back. One that cannot be restored is not used again: V8 unmaps the whole of it when
 * the memory is collected. Never throws.
 */
export function returnArena(arena: Arena): void {
  try {
    arena.restore();
  } catch {
    return;
  }
  if (spare.length < MOST_SPARE) spare.push(arena);
}
