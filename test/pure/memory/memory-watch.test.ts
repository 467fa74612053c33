import { beforeEach, describe, expect, test, vi } from "vitest";
import { loadShim } from "../../../shims/index.ts";
import type { CgroupRoom } from "../../../src/memory/cgroup-room.ts";
import { MemoryRanShort, MemoryWatch } from "../../../src/memory/memory-watch.ts";

const MIB = 1024 ** 2;
const shim = await loadShim();

describe("what a worker may fill", () => {
  let room: { bytes: number } | { full: string };
  const look = vi.fn(() => room);
  const watch = () => {
    const asked = { look, wasHit: false } as unknown as CgroupRoom;
    return new MemoryWatch([], shim, { progress: 0, workers: 1 }, asked);
  };

  beforeEach(() => {
    look.mockClear();
    vi.useFakeTimers({ toFake: ["performance"] });
    return () => vi.useRealTimers();
  });

  test("is asked once for many small batches", () => {
    room = { bytes: 10 * MIB };
    const watched = watch();
    for (let batch = 0; batch < 10; batch++) expect(watched.allow(MIB)).toBe(MIB);
    expect(look).toHaveBeenCalledTimes(1);
    room = { full: "no room" };
    expect(() => watched.allow(MIB)).toThrow(MemoryRanShort);
  });

  test("is asked again after some milliseconds, since others fill the same memory", () => {
    room = { bytes: Number.POSITIVE_INFINITY };
    const watched = watch();
    expect(watched.allow(MIB)).toBe(MIB);
    room = { full: "no room" };
    expect(watched.allow(MIB)).toBe(MIB);
    vi.advanceTimersByTime(20);
    expect(() => watched.allow(MIB)).toThrow(MemoryRanShort);
  });

  test("is less than a batch where little room is left", () => {
    room = { bytes: 5 * MIB };
    expect(watch().allow(64 * MIB)).toBe(4 * MIB);
  });
});
