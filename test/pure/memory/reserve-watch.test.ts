import { expect, test } from "vitest";
import { ReserveWatch } from "../../../src/memory/reserve-watch.ts";

const MIB = 1024 ** 2;

/** A machine on which 1000 MiB are available at first, cached pages included. */
function machine(filledMib: number) {
  const state = { availableMib: 1000, nowMs: 0, looks: 0 };
  const available = () => {
    state.looks++;
    return state.availableMib * MIB;
  };
  const reserve = { bytes: 200 * MIB, filledBytes: filledMib * MIB };
  const watch = new ReserveWatch(reserve, { memory: () => null }, available, () => state.nowMs);
  const look = (sweptMib: number, nowMs: number) => {
    state.nowMs = nowMs;
    return watch.look(sweptMib * MIB);
  };
  return { state, look };
}

test("a fill goes on while the reserve is there", () => {
  const { look } = machine(0);
  expect(look(0, 0)).toBeNull();
  expect(look(800, 100)).toBeNull();
});

test("a fill ends when others have taken so much that its own pages would go next", () => {
  const { state, look } = machine(0);
  expect(look(0, 0)).toBeNull();
  state.availableMib = 700;
  expect(look(400, 100)).toBeNull();
  expect(look(510, 200)).toBe(
    "190.0 MiB are available beside what was read, and the budget leaves 200.0 MiB to others",
  );
});

test("what was filled before within the same budget counts", () => {
  const { state, look } = machine(300);
  expect(look(400, 0)).toBeNull();
  state.availableMib = 850;
  expect(look(400, 100)).toMatch(/^150\.0 MiB are available/);
});

test("memory is looked at ten times a second at most", () => {
  const { state, look } = machine(0);
  for (let nowMs = 0; nowMs < 1000; nowMs += 5) look(0, nowMs);
  expect(state.looks).toBe(10);
});

test("memory is looked at earlier where a fast device has filled half of what was left", () => {
  const { state, look } = machine(0);
  expect(look(0, 0)).toBeNull();
  expect(look(399, 1)).toBeNull();
  expect(state.looks).toBe(1);
  state.availableMib = 500;
  expect(look(401, 2)).toMatch(/^99\.00 MiB are available/);
});
