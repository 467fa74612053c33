import { freemem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Tools } from "./compile.ts";
import { runProgram } from "./process.ts";

const GIB = 1024 ** 3;

/** Free pages return to the hypervisor while a fill runs: so much more than the file is backed. */
const SPARE_BYTES = 4 * GIB;

/** Left free for other programs. */
const UNTAKEN_BYTES = 2 * GIB;

/**
 * The guest reports a sixteenth of its free pages every two seconds, the pages that were freed last
 * first (mm/page_reporting.c, `page_reporting_cycle`).
 */
const TAKEN_BACK_MS = 16_000;

/**
 * Memory of a guest whose hypervisor takes free pages back (virtio-balloon's free page reporting),
 * or has not given them yet. The hypervisor gives such a page when it is first touched, which costs the
 * guest's processor as much time as the device takes to fill it: a fill into given pages is about twice
 * as fast as one into others, whichever program fills. So the two are measured apart.
 */
export class GuestMemory {
  readonly #tools: Tools;
  readonly #isGuest: boolean;

  constructor(tools: Tools, isGuest: boolean) {
    this.#tools = tools;
    this.#isGuest = isGuest;
  }

  /** Whether a hypervisor may take memory back, and the program that makes it give memory was built. */
  get varies(): boolean {
    return this.#isGuest && this.#tools.missing === undefined;
  }

  /** Makes the hypervisor give so much free memory, so that the next fill waits for its device alone. */
  async given(byteLength: number): Promise<void> {
    if (!this.varies || this.#tools.missing !== undefined) return;
    const bytes = Math.min(byteLength + SPARE_BYTES, freemem() - UNTAKEN_BYTES);
    if (bytes > 0) await runProgram(this.#tools.path("take-memory"), [String(Math.floor(bytes))]);
  }

  /** Waits until the pages that were freed last are taken back, as in a guest that has just started. */
  async takenBack(): Promise<void> {
    if (this.varies) await sleep(TAKEN_BACK_MS);
  }
}
