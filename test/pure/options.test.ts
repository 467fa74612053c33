import { afterEach, describe, expect, test, vi } from "vitest";
import { describeValue } from "../../src/describe.ts";
import { PrefaultError } from "../../src/errors.ts";
import { type PrefaultOptions, resolveOptions } from "../../src/options.ts";

afterEach(() => vi.restoreAllMocks());

const refusal = (given: object): unknown => {
  try {
    resolveOptions(given);
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("resolveOptions", () => {
  test("fills in what is not given", () => {
    const { workers, chunkBytes, strategy, onError, killSwitch, workerUrl } = resolveOptions();
    expect(workers).toBeUndefined();
    expect({ chunkBytes, strategy, onError, killSwitch }).toEqual({
      chunkBytes: 32 * 1024 ** 2,
      strategy: "auto",
      onError: "report",
      killSwitch: undefined,
    });
    expect(workerUrl.href).toMatch(/^file:.*\/worker\.js$/);
  });

  test("takes undefined for not given", () => {
    const given: PrefaultOptions = {
      gate: undefined,
      workers: undefined,
      chunkBytes: undefined,
      strategy: undefined,
      signal: undefined,
      onProgress: undefined,
      label: undefined,
      log: undefined,
      killSwitch: undefined,
      onError: undefined,
      workerUrl: undefined,
    };
    const { log: _, ...resolved } = resolveOptions(given);
    const { log: __, ...defaults } = resolveOptions();
    expect(resolved).toEqual(defaults);
  });

  test.each([
    [1, 65_536],
    [65_536, 65_536],
    [65_537, 131_072],
    [1024 ** 3, 1024 ** 3],
  ])("rounds chunks of %d bytes up to %d", (given, bytes) => {
    expect(resolveOptions({ chunkBytes: given }).chunkBytes).toBe(bytes);
  });

  test.each([
    ["workers", 0],
    ["workers", 17],
    ["workers", 1.5],
    ["workers", Number.NaN],
    ["workers", "4"],
    ["chunkBytes", 0],
    ["chunkBytes", -1],
    ["chunkBytes", 1024 ** 3 + 1],
    ["chunkBytes", Number.POSITIVE_INFINITY],
    ["gate", "sometimes"],
    ["gate", ""],
    ["strategy", "mmap"],
    ["strategy", "toString"],
    ["onError", "ignore"],
  ])("refuses %s %j, naming both", (name, value) => {
    const error = refusal({ [name]: value });
    expect(PrefaultError.is(error) && error.code).toBe("PREFAULT_INVALID_OPTION");
    expect(String(error)).toContain(name);
    expect(String(error)).toContain(describeValue(value));
  });

  test.each([
    ["signal", {}],
    ["signal", "abort"],
    ["signal", null],
    ["workerUrl", "worker.js"],
    ["workerUrl", new URL("https://example.org/worker.js")],
    ["log", "stderr"],
    ["log", null],
    ["onProgress", 7],
    ["label", 7],
    ["label", Symbol("label")],
    ["killSwitch", 7],
    ["killSwitch", ""],
    ["workers", 4n],
    ["workers", -1],
    ["chunkBytes", 2n ** 70n],
    ["gate", Symbol("gate")],
    ["strategy", { toString: () => "read" }],
  ])("refuses a %s of the wrong type", (name, value) => {
    expect(refusal({ [name]: value })).toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
      message: expect.stringContaining(`${name} must be`),
    });
  });

  test.each([null, "auto", 7, [], 1n])("refuses options that are %s", (options) => {
    expect(refusal(options as unknown as object)).toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
      message: expect.stringContaining("options must be an object"),
    });
  });

  test("turns what an async callback rejects with into a warning", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const thrown = new Error("from the callback");
    const { log } = resolveOptions({ log: (async () => Promise.reject(thrown)) as () => void });
    log("line");
    await vi.waitFor(() => expect(warn.mock.calls).toEqual([[thrown]]));
  });

  test("survives a stderr that throws, and one that is closed", () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const write = vi.spyOn(process.stderr, "write").mockImplementation(() => {
      throw new Error("closed");
    });
    const { log } = resolveOptions();
    log("a line");
    expect(warn).toHaveBeenCalledOnce();
    write.mockReturnValue(true);
    log("a line");
    expect(() => process.stderr.emit("error", new Error("EPIPE"))).not.toThrow();
  });

  test.each([1, 16])("takes %d workers", (workers) => {
    expect(resolveOptions({ workers }).workers).toBe(workers);
  });

  test("turns what a callback throws into a warning", () => {
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue();
    const thrown = new Error("from the callback");
    const { log, onProgress } = resolveOptions({
      log: () => {
        throw thrown;
      },
      onProgress: () => {
        throw "a string";
      },
    });
    log("line");
    onProgress?.({ bytesDone: 0, bytesTotal: 1 });
    expect(warn.mock.calls).toEqual([[thrown], ["a string"]]);
  });

  test("logs lines to stderr", () => {
    const write = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    resolveOptions().log("a line");
    expect(write.mock.calls).toEqual([["a line\n", expect.any(Function)]]);
  });
});
