import { closeSync, openSync } from "node:fs";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { UNKNOWN_FACTS } from "../../shims/file-facts.ts";
import { portableShim } from "../../shims/portable.ts";
import { layOut } from "../../src/arena/layout.ts";
import { CONTROL_BYTES } from "../../src/control/arena-control.ts";
import { SweepControl } from "../../src/control/sweep-control.ts";
import { cutChunks } from "../../src/plan/merge.ts";
import { nextAttempt } from "../../src/sweep/attempt.ts";
import { DoneChunks } from "../../src/sweep/done-chunks.ts";
import { PopulateHung, watchForHang } from "../../src/sweep/hanging-populate.ts";
import { onLinux } from "../helpers/platform.ts";

const MIB = 1024 ** 2;
const SECONDS = 1000;

onLinux("a sweep on a kernel where a populate may hang", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Two chunks of a file, of which a worker has taken the first. */
  async function watched(path: string, populateMayHang: boolean, fills: boolean) {
    const fd = openSync(path, "r");
    const { extents, ranges } = layOut([[{ offset: 0, byteLength: 2 * MIB }]]);
    const chunks = cutChunks(ranges, MIB);
    const control = new SweepControl(new SharedArrayBuffer(CONTROL_BYTES));
    control.enterWorker();
    control.takeChunk();
    const job = {
      files: [{ path, fd, byteLength: 2 * MIB, facts: UNKNOWN_FACTS }],
      ...{ extents, chunks, mapping: null, strategy: "populate" as const, turns: null },
      ...{ isWarm: false, done: DoneChunks.forChunks(chunks.length), workers: 1, firstWorkers: 1 },
      ...{ keepGoing: false, reserve: null, workerUrl: new URL("file:///none") },
      ...{ signal: undefined, onProgress: undefined },
    };
    const hang = watchForHang(job, control, { ...portableShim(), populateMayHang });
    try {
      for (let looks = 0; looks < 3; looks++) {
        if (fills) control.addProgress(4096);
        vi.advanceTimersByTime(5 * SECONDS);
      }
      await hang.stop();
      return hang.error;
    } finally {
      closeSync(fd);
    }
  }

  // Nothing is mapped at address 0, so that its first byte cannot be read: EIO.
  const unreadable = "/proc/self/mem";

  test("finds the page that cannot be read when nothing is filled any more", async () => {
    const error = await watched(unreadable, true, false);
    expect(error).toBeInstanceOf(PopulateHung);
    expect(error).toMatchObject({
      ...{ code: "PREFAULT_READ_FAILED", errno: "EIO", offset: 0, path: unreadable },
      message: `${unreadable} could not be filled at byte 0: EIO`,
    });
  });

  test("reads nothing while something is filled, and on other kernels", async () => {
    expect(await watched(unreadable, true, true)).toBeNull();
    expect(await watched(unreadable, false, false)).toBeNull();
  });

  test("is no failure of a slow device", async () => {
    expect(await watched("/dev/zero", true, false)).toBeNull();
  });

  test("is begun again by reading, unless a populate was asked for", () => {
    const error = new PopulateHung("PREFAULT_READ_FAILED", "EIO");
    const failed = { strategy: "populate", why: "" } as const;
    expect(nextAttempt(error, failed, "auto")?.strategy).toBe("read");
    expect(nextAttempt(error, failed, "populate")).toBeNull();
  });
});
