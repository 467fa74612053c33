import { createContext, runInContext } from "node:vm";
import { describe, expect, test, vi } from "vitest";
import { abortError, asPrefaultError, PrefaultError } from "../../src/errors.ts";

describe("PrefaultError", () => {
  test("keeps what is known of a failure", () => {
    const cause = new Error("below");
    const error = new PrefaultError("PREFAULT_READ_FAILED", "it failed", {
      errno: "EIO",
      path: "/a",
      offset: 4096,
      cause,
    });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: "PrefaultError",
      code: "PREFAULT_READ_FAILED",
      message: "it failed",
      errno: "EIO",
      path: "/a",
      offset: 4096,
    });
    expect(error.cause).toBe(cause);
  });

  test("has no cause when there is none", () => {
    expect("cause" in new PrefaultError("PREFAULT_CLOSED", "closed")).toBe(false);
  });

  test("is known by another copy of this package", async () => {
    vi.resetModules();
    const copy = await import("../../src/errors.ts");
    const foreign = new copy.PrefaultError("PREFAULT_CLOSED", "closed");
    expect(foreign).not.toBeInstanceOf(PrefaultError);
    expect(PrefaultError.is(foreign)).toBe(true);
    expect(copy.PrefaultError.is(new PrefaultError("PREFAULT_CLOSED", "closed"))).toBe(true);
  });

  test("is known in another realm", () => {
    const context = createContext({ error: new PrefaultError("PREFAULT_CLOSED", "closed") });
    expect(runInContext("error instanceof Error", context)).toBe(false);
    expect(runInContext("Symbol.for('prefault.error') in error", context)).toBe(true);
    const foreign: unknown = runInContext(
      "Object.assign(new Error('x'), { [Symbol.for('prefault.error')]: true })",
      context,
    );
    expect(PrefaultError.is(foreign)).toBe(true);
  });

  test.each([undefined, null, "PREFAULT_CLOSED", 1, {}, new Error("x"), () => {}])(
    "does not take %s for one",
    (value) => {
      expect(PrefaultError.is(value)).toBe(false);
    },
  );
});

describe("asPrefaultError", () => {
  test("leaves this package's errors alone", () => {
    const error = new PrefaultError("PREFAULT_CLOSED", "closed");
    expect(asPrefaultError(error)).toBe(error);
  });

  test.each([new TypeError("odd"), "odd"])(
    "calls %s a fault of the package, and keeps it",
    (thrown) => {
      const error = asPrefaultError(thrown);
      expect(error).toMatchObject({ code: "PREFAULT_INTERNAL", message: "unexpected: odd" });
      expect(error.cause).toBe(thrown);
    },
  );
});

test("an abort is reported one way, with the signal's reason as the cause", () => {
  const reason = new Error("because");
  expect(abortError(AbortSignal.abort(reason))).toMatchObject({
    code: "PREFAULT_ABORTED",
    cause: reason,
  });
});
