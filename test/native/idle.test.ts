import { getEventListeners } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { untilEnded } from "../../src/beside/process-end.ts";
import { isQuiet, whileIdle } from "../../src/keep/idle.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { idleEngine, readingEngine } from "../helpers/reading-engine.ts";
import { startProcess } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;

describe.skipIf(process.platform !== "linux")("beside an engine", () => {
  const folder = temporaryFolder();
  const data = writeDataFile(join(folder, "data"), 8 * MIB);
  const never = new AbortController().signal;
  /** Waits for its signal. */
  const wait = (signal: AbortSignal) =>
    new Promise<string>((resolve) => {
      signal.addEventListener("abort", () => resolve("stopped"), { once: true });
    });

  test("it is quiet while the engine reads nothing", async () => {
    const engine = readingEngine(data, join(folder, "quiet"));
    expect(await isQuiet(engine.pid, never)).toBe(true);
    engine.read();
    await sleep(300);
    expect(await isQuiet(engine.pid, never)).toBe(false);
  });

  test("it is not quiet when the wait is called off", async () => {
    const controller = new AbortController();
    const asked = isQuiet(idleEngine(), controller.signal);
    controller.abort();
    expect(await asked).toBe(false);
  });

  test("what is done goes on while it is idle, and stops when it reads", async () => {
    const engine = readingEngine(data, join(folder, "busy"));
    const done = whileIdle(engine.pid, never, wait);
    const first = await Promise.race([done, sleep(1000, "goes on")]);
    expect(first).toBe("goes on");
    engine.read();
    expect(await done).toBe("stopped");
  });

  test("what throws since it was stopped comes to nothing", async () => {
    const engine = readingEngine(data, join(folder, "throws"));
    engine.read();
    const thrown = async (signal: AbortSignal) => {
      await wait(signal);
      throw new Error("stopped");
    };
    expect(await whileIdle(engine.pid, never, thrown)).toBeNull();
  });

  test("the caller's signal stops it as well, and is let go of", async () => {
    const controller = new AbortController();
    const done = whileIdle(idleEngine(), controller.signal, wait);
    controller.abort();
    expect(await done).toBe("stopped");
    const failing = () => Promise.reject(new Error("of its own"));
    await expect(whileIdle(null, never, failing)).rejects.toThrow("of its own");
    expect(getEventListeners(never, "abort")).toEqual([]);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });
});

describe.skipIf(process.platform !== "linux")("the end of a process", () => {
  test("is waited for, also of one that nobody has asked about", async () => {
    // The shell does not ask for its child's status before it ends itself.
    const { ended, kill } = startProcess(["sh", "-c", "sleep 0.5 & echo $!; exec sleep 600"]);
    const other = startProcess(["sleep", "0.5"]);
    const never = new AbortController().signal;
    await untilEnded(other.pid, never);
    await other.ended;
    await untilEnded(other.pid, never);
    kill("SIGKILL");
    const { stdout } = await ended;
    await untilEnded(Number(stdout), never);
  });

  test("is not waited for when the signal fires", async () => {
    await untilEnded(process.pid, AbortSignal.timeout(100));
  });
});
