import { describe, expect, test } from "vitest";
import type { Turn } from "../../src/control/turn-word.ts";
import { paysToStartMore } from "../../src/sweep/later-workers.ts";

const MIB = 1024 ** 2;
const BYTES = 4096 * MIB;
const CHUNKS = 128;

/** A sweep that fills so many MiB a second, after what was filled at once. */
function filling(mibPerSecond: number, { workers = 2, cancelled = false, atOnce = 0 } = {}) {
  const started = performance.now();
  return {
    workers,
    cancelled,
    get progress() {
      const seconds = (performance.now() - started) / 1000;
      // The resident part is filled between the first look and the second.
      const resident = seconds > 0.2 ? atOnce * MIB : 0;
      return Math.min(BYTES, resident + seconds * mibPerSecond * MIB);
    },
    get taken() {
      return Math.ceil((this.progress / BYTES) * CHUNKS);
    },
  };
}

const never = new Promise<never>(() => {});
const decided = (sweep: ReturnType<typeof filling>, turn?: Turn, over: Promise<unknown> = never) =>
  paysToStartMore(
    sweep,
    { bytes: BYTES, chunks: CHUNKS },
    turn === undefined ? null : { turn },
    over,
  );

describe("more worker threads than processors", () => {
  test.each([0, 1, 500])("start where the rest takes long, at %d MiB/s", async (rate) => {
    expect(await decided(filling(rate))).toBe(true);
  });

  test("do not where it is soon filled", async () => {
    expect(await decided(filling(8000))).toBe(false);
  });

  test("start where a resident part was filled at once, and the rest is slow", async () => {
    expect(await decided(filling(50, { atOnce: 3900 }))).toBe(true);
  });

  test.each<[string, Turn, number]>([
    ["beside an engine that reads", "wait", 2],
    ["beside an engine that both are faster than", "beside", 2],
    ["before the first workers have begun", "alone", 0],
  ])("do not %s", async (_, turn, workers) => {
    const over = new Promise((resolve) => setTimeout(resolve, 700));
    expect(await decided(filling(0, { workers }), turn, over)).toBe(false);
  });

  test("do not when the sweep is cancelled", async () => {
    expect(await decided(filling(0, { cancelled: true }))).toBe(false);
  });
});
