import { afterEach, describe, expect, test, vi } from "vitest";
import { disabledReason, killSwitch } from "../../src/kill-switch.ts";

afterEach(() => vi.unstubAllEnvs());

describe("the kill switch", () => {
  test.each([
    [undefined, undefined, undefined, "SHARPI_PREFAULT"],
    ["0", undefined, "0", "PREFAULT"],
    ["1", undefined, "1", "PREFAULT"],
    [undefined, "0", "0", "SHARPI_PREFAULT"],
    [undefined, "1", "1", "SHARPI_PREFAULT"],
    ["0", "1", "0", "PREFAULT"],
    ["1", "0", "0", "SHARPI_PREFAULT"],
    ["", "1", "1", "SHARPI_PREFAULT"],
    ["yes", "no", undefined, "SHARPI_PREFAULT"],
  ])("with PREFAULT=%s and SHARPI_PREFAULT=%s is %s, by %s", (ours, theirs, mode, name) => {
    vi.stubEnv("PREFAULT", ours);
    vi.stubEnv("SHARPI_PREFAULT", theirs);
    expect(killSwitch()).toEqual({ mode, name });
    expect(disabledReason()).toBe(mode === "0" ? `disabled (${name}=0)` : undefined);
  });

  test("of an embedder replaces both", () => {
    vi.stubEnv("PREFAULT", "0");
    vi.stubEnv("SHARPI_PREFAULT", "0");
    vi.stubEnv("MY_APP_WARM", "1");
    expect(killSwitch("MY_APP_WARM")).toEqual({ mode: "1", name: "MY_APP_WARM" });
    vi.stubEnv("MY_APP_WARM", undefined);
    expect(killSwitch("MY_APP_WARM")).toEqual({ mode: undefined, name: "MY_APP_WARM" });
  });
});
