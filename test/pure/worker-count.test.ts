import { availableParallelism } from "node:os";
import { describe, expect, test } from "vitest";
import { type FileFacts, UNKNOWN_FACTS } from "../../shims/file-facts.ts";
import { defaultWorkers, readsSooner } from "../../src/sweep/worker-count.ts";

const processors = availableParallelism();
const cold = Math.min(Math.max(2 * processors, 2), 8);
const warm = Math.min(processors, 8);

const file = (facts: Partial<FileFacts> = {}) => ({ facts: { ...UNKNOWN_FACTS, ...facts } });

describe("the number of workers, when nobody says it", () => {
  test.each([
    ["nothing is resident", 1000, 0, cold],
    ["half is resident", 1000, 500, cold],
    ["nearly all is resident", 1000, 960, warm],
    ["everything is, in whole pages", 1000, 4096, warm],
    ["the system does not say", 1000, null, cold],
  ])("%s", (_, bytes, residentBytes, workers) => {
    expect(defaultWorkers(bytes, residentBytes, [file()])).toBe(workers);
  });

  test("a rotating disk gets one reader", () => {
    const files = [file(), file({ isRotational: true })];
    expect(defaultWorkers(1000, 0, files)).toBe(1);
    expect(defaultWorkers(1000, 1000, files)).toBe(warm);
  });

  test("beside an engine that loads libuv's threads fill, but for files of a server", () => {
    expect(defaultWorkers(1000, 0, [file({ isLocal: true })], true)).toBe(0);
    const ofServer = defaultWorkers(1000, 0, [file({ isLocal: false })], true);
    expect(ofServer).toBe(Math.min(Math.max(Math.floor(processors / 2), 1), 4));
  });

  test("another machine gets a few", () => {
    expect(defaultWorkers(1000, 0, [file({ isLocal: false })])).toBe(Math.min(cold, 4));
  });
});

describe("a fill that is over before a thread has started", () => {
  const few = 128 * 1024 ** 2;

  test("is one of few bytes", () => {
    expect(readsSooner(few, [file({ isLocal: true })])).toBe(true);
    expect(readsSooner(few + 1, [file({ isLocal: true })])).toBe(false);
  });

  test("is none of a file whose server may not answer", () => {
    expect(readsSooner(few, [file({ isLocal: true }), file({ isLocal: false })])).toBe(false);
  });
});
