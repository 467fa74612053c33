import { describe, expect, test } from "vitest";
import { CONTROL_BYTES } from "../../src/control/arena-control.ts";
import { SweepControl } from "../../src/control/sweep-control.ts";

const page = () => new SweepControl(new SharedArrayBuffer(CONTROL_BYTES));

describe("the control page", () => {
  test("begins with nothing known", () => {
    const { cancelled, progress, largeFolios } = page();
    expect({ cancelled, progress, largeFolios }).toEqual({
      cancelled: false,
      progress: 0,
      largeFolios: null,
    });
  });

  test("keeps its words apart", () => {
    const control = page();
    control.addProgress(2 ** 40);
    control.addProgress(1);
    control.cancel();
    control.settleFolios(false);
    expect(control.takeChunk()).toBe(0);
    expect(control.takeChunk()).toBe(1);
    expect(control.progress).toBe(2 ** 40 + 1);
    expect(control.cancelled).toBe(true);
    expect(control.largeFolios).toBe(false);
  });

  test("decides for large folios at once, and for small ones after several batches", () => {
    const control = page();
    control.sawFolio(null);
    for (let batch = 0; batch < 7; batch++) control.sawFolio(false);
    expect(control.largeFolios).toBeNull();
    control.sawFolio(false);
    expect(control.largeFolios).toBe(false);
    control.sawFolio(true);
    expect(control.largeFolios).toBe(true);
    control.settleFolios(false);
    expect(control.largeFolios).toBe(true);
  });

  test("is one page for all who look at its buffer", () => {
    const buffer = new SharedArrayBuffer(CONTROL_BYTES);
    const [here, there] = [new SweepControl(buffer), new SweepControl(buffer)];
    here.cancel();
    here.takeChunk();
    expect(there.cancelled).toBe(true);
    expect(there.takeChunk()).toBe(1);
  });

  test("is all zeros again after a reset", () => {
    const control = page();
    control.cancel();
    control.addProgress(2 ** 40);
    control.takeChunk();
    control.sawFolio(true);
    control.reset();
    expect(control.cancelled).toBe(false);
    expect(control.progress).toBe(0);
    expect(control.takeChunk()).toBe(0);
    expect(control.largeFolios).toBeNull();
  });
});
