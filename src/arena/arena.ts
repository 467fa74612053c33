import type { Shim } from "../../shims/index.ts";
import { ArenaControl, sharedBuffer } from "../control/arena-control.ts";
import { ARENA_BYTES, type Extent, PMD_BYTES } from "./layout.ts";

declare global {
  namespace WebAssembly {
    // For users whose `lib` lacks "dom". With "dom" the two declarations merge.
    interface Memory {
      grow(delta: number): number;
    }
  }
}

/**
 * One page less than a memory can have: V8 writes the length of a view that is sent to another thread in
 * 32 bits (`WriteJSArrayBufferView`), so a message with a view of 2^32 bytes never arrives. Layouts do
 * not use the last megabytes anyway.
 */
const PAGES = ARENA_BYTES / 65_536 - 1;

/** A mapped range of an arena, in bytes of its linear memory. */
interface PlacedRange {
  readonly start: number;
  readonly byteLength: number;
}

/**
 * A shared WebAssembly memory of 4 GiB into which extents of files are mapped. The 4 GiB are addresses:
 * only touched pages take memory, and those belong to the page cache.
 */
export class Arena {
  readonly memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
  readonly control: ArenaControl;
  /** Virtual address of byte 0 of the memory. */
  readonly base: bigint;
  /**
   * Bytes to add to an extent's start so that address and file offset agree modulo 2 MiB: V8 aligns
   * its memories to 64 KiB only.
   */
  readonly alignOffset: number;
  readonly #shim: Shim;
  readonly #placed: PlacedRange[] = [];

  constructor(shim: Shim) {
    const buffer = sharedBuffer(this.memory);
    this.#shim = shim;
    this.control = new ArenaControl(buffer);
    this.base = shim.addressOf(buffer);
    const folio = BigInt(PMD_BYTES);
    this.alignOffset = Number((folio - (this.base % folio)) % folio);
  }

  /** Maps an extent of an open file into the memory, and asks for large folios. @throws {@link SystemError} */
  place(extent: Extent, fd: number): void {
    const { byteLength, offset } = extent;
    const start = extent.start + this.alignOffset;
    const address = this.base + BigInt(start);
    // Recorded before the call, so that a mapping that fails half-way is restored too.
    this.#placed.push({ start, byteLength });
    placed.set(this.base, new WeakRef(this));
    this.#shim.place(address, byteLength, fd, offset);
    // Where the kernel supports it, fills through this mapping are read in large folios.
    this.#shim.advise(address, byteLength, "huge-pages");
  }

  /**
   * Maps anonymous zero pages again, which V8 expects under its memory. Idempotent.
   *
   * @throws {@link SystemError}
   */
  restore(): void {
    for (let range = this.#placed.at(-1); range !== undefined; range = this.#placed.at(-1)) {
      this.#shim.restore(this.base + BigInt(range.start), range.byteLength);
      this.#placed.pop();
    }
    placed.delete(this.base);
  }
}

/**
 * Arenas are kept here for the next sweep: V8 frees the addresses of a memory only at a garbage
 * collection, and making a memory takes milliseconds. Sixteen are enough for a model of 64 GiB.
 */
const MOST_SPARE = 16;
const spare: Arena[] = [];

/** Arenas that files are mapped into now, by their base. One that nobody holds any more is unmapped by V8. */
const placed = new Map<bigint, WeakRef<Arena>>();

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

/** Whether what is mapped at an address lies in an arena of this thread. */
export function isInArena(address: bigint): boolean {
  for (const [base, arena] of placed) {
    if (arena.deref() === undefined) placed.delete(base);
    else if (address >= base && address < base + BigInt(ARENA_BYTES)) return true;
  }
  return false;
}

/**
 * Restores an arena and keeps it for the next sweep. An arena that cannot be restored is dropped: V8
 * unmaps all of it when the memory is collected. Never throws.
 */
export function returnArena(arena: Arena): void {
  try {
    arena.restore();
  } catch {
    return;
  }
  if (spare.length < MOST_SPARE) spare.push(arena);
}
