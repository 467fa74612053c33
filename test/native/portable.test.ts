import { describe, expect, test } from "vitest";
import { SystemError, UNKNOWN_FACTS } from "../../shims/index.ts";
import { portableShim } from "../../shims/portable.ts";
import { chooseStrategy } from "../../src/sweep/strategy.ts";

const shim = portableShim();

describe("the portable shim", () => {
  test("maps nothing, and says so", async () => {
    expect(shim).toMatchObject({ name: "portable", canPlace: false, canPopulate: false });
    expect(() => shim.place(0n, 4096, 0, 0)).toThrow(new SystemError("place", "ENOTSUP"));
    expect(() => shim.restore(0n, 4096)).toThrow("restore failed with ENOTSUP");
    expect(() => shim.populate(0n, 4096)).toThrow("ENOTSUP");
    expect(() => shim.addressOf(new SharedArrayBuffer(1))).toThrow("ENOTSUP");
    await expect(shim.evict(0, 0, 4096)).rejects.toThrow("ENOTSUP");
  });

  test("takes no hint, and does not fail at it", () => {
    expect(shim.advise(0n, 4096, "will-need")).toBe(false);
  });

  test("does not know residency and has no lease", async () => {
    const file = { fd: 0, path: "", facts: UNKNOWN_FACTS };
    expect(shim.residentBytes(file, 0, 4096)).toBeNull();
    expect(await shim.residentBytesInBackground(file, 0, 4096)).toBeNull();
    expect(shim.openLease(file)).toBeNull();
  });

  test("counts the faults of the process", () => {
    expect(shim.faults().minor).toBeGreaterThan(0);
    expect(shim.faults().major).toBeGreaterThanOrEqual(0);
  });

  test("leaves reading as the one strategy", () => {
    expect(chooseStrategy("auto", shim).strategy).toBe("read");
    expect(chooseStrategy("read", shim)).toEqual({ strategy: "read", why: "asked for" });
    for (const asked of ["touch", "populate"] as const) {
      expect(() => chooseStrategy(asked, shim)).toThrow(
        expect.objectContaining({ code: "PREFAULT_UNSUPPORTED" }),
      );
    }
  });
});
