import { setTimeout as sleep } from "node:timers/promises";

/** A wake-up that is lost, and a cancelled sweep, are noticed after this time. */
const LOOK_MS = 20;

/** What a sweep may do, where an engine may read the same files. */
const TURNS = ["wait", "beside", "alone"] as const;

/**
 * - `wait`: the engine reads, and no chunk may be begun
 * - `beside`: chunks are filled, and those that are resident by now are passed over
 * - `alone`: no engine reads
 */
export type Turn = (typeof TURNS)[number];

/** Whose turn it is to read, in a word that the threads of a sweep share. */
export class TurnWord {
  readonly buffer: Int32Array;

  /** @param buffer of the word that another thread has made @defaultValue a new one, which says `alone` */
  constructor(buffer?: Int32Array) {
    this.buffer = buffer ?? new Int32Array(new SharedArrayBuffer(4));
    if (buffer === undefined) this.turn = "alone";
  }

  get turn(): Turn {
    return TURNS[Atomics.load(this.buffer, 0)] ?? "alone";
  }

  set turn(turn: Turn) {
    Atomics.store(this.buffer, 0, TURNS.indexOf(turn));
    if (turn !== "wait") Atomics.notify(this.buffer, 0);
  }

  /** Blocks a worker thread until it may read, or its sweep is cancelled. */
  block(sweep: { readonly cancelled: boolean }): void {
    while (this.#mustWait(sweep)) Atomics.wait(this.buffer, 0, TURNS.indexOf("wait"), LOOK_MS);
  }

  /** The same where the event loop has to run. */
  async wait(sweep: { readonly cancelled: boolean }): Promise<void> {
    while (this.#mustWait(sweep)) await sleep(LOOK_MS);
  }

  #mustWait({ cancelled }: { readonly cancelled: boolean }): boolean {
    return this.turn === "wait" && !cancelled;
  }
}
