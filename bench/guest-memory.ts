import { freemem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Tools } from "./compile.ts";
import { runProgram } from "./process.ts";

const GIB = 1024 ** 3;

/** Free pages go back to the hypervisor while a fill runs; with so much more it finds others. */
const SPARE_BYTES = 4 * GIB;

/** Left to everyone else. */
const UNTAKEN_BYTES = 2 * GIB;

/**
 * The guest tells of a sixteenth of its free pages every two seconds, those that were freed last
 * first (mm/page_reporting.c, `page_reporting_cycle`).
 */
const TAKEN_BACK_MS = 16_000;

/**
 * Memory of a guest whose hypervisor takes free pages back (virtio-balloon's free page reporting),
 * or has not given them yet. A page is given anew when it is first touched, which costs the guest's
 * processor as much as the device takes to fill it: a fill that gets given pages and one that does
 * not differ by a factor of two, whoever fills. So each is measured by itself.
 */
export class GuestMemory {
  readonly #tools: Tools;
  readonly #isGuest: boolean;

  constructor(tools: Tools, isGuest: boolean) {
    this.#tools = tools;
    this.#isGuest = isGuest;
  }

  /** Whether there is a hypervisor that could take memory back, and a way to make it give some. */
  get varies(): boolean {
    return this.#isGuest && this.#tools.missing === undefined;
  }

  /** Has so much free memory given, and more: the next fill waits for its device alone. */
  async given(byteLength: number): Promise<void> {
    if (!this.varies || this.#tools.missing !== undefined) return;
    const bytes = Math.min(byteLength + SPARE_BYTES, freemem() - UNTAKEN_BYTES);
    if (bytes > 0) await runProgram(this.#tools.path("take-memory"), [String(Math.floor(bytes))]);
  }

  /** Waits until what was freed last is taken back: as in a guest that has just started. */
  async takenBack(): Promise<void> {
    if (this.varies) await sleep(TAKEN_BACK_MS);
  }
}
