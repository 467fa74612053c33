import { join } from "node:path";
import { expect, test } from "vitest";
import { portableShim } from "../../shims/portable.ts";
import { layOut } from "../../src/arena/layout.ts";
import { SweepControl } from "../../src/control/sweep-control.ts";
import { CgroupRoom } from "../../src/memory/cgroup-room.ts";
import type { Reserve } from "../../src/memory/reserve-watch.ts";
import { cutChunks } from "../../src/plan/merge.ts";
import { planRegions } from "../../src/plan/plan.ts";
import { DoneChunks } from "../../src/sweep/done-chunks.ts";
import { fillWithoutWorkers } from "../../src/sweep/fill-without-workers.ts";
import { workerTask } from "../../src/sweep/worker-task.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { madeUpRoot } from "../helpers/made-up-root.ts";
import { onLinux } from "../helpers/platform.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;
const GROUP = "sys/fs/cgroup/app";

onLinux("filling without workers", () => {
  const path = writeDataFile(join(temporaryFolder(), "weights"), 16 * MIB);
  const shim = portableShim();

  /** Reads the file in 16 chunks. */
  async function readIn(room: CgroupRoom, keepGoing: boolean, reserve: Reserve | null = null) {
    const plan = await planRegions([{ path }], shim);
    try {
      const { extents, ranges } = layOut(plan.files.map((each) => each.ranges));
      const chunks = cutChunks(ranges, MIB);
      const task = workerTask({
        files: plan.files.map(({ file: { fd, byteLength, facts } }) => {
          return { path, fd, byteLength, facts };
        }),
        extents,
        chunks,
        mapping: null,
        strategy: "read",
        turns: null,
        isWarm: false,
        done: DoneChunks.forChunks(chunks.length),
        workers: 0,
        firstWorkers: 0,
        keepGoing,
        reserve,
        workerUrl: new URL("file:///none"),
        signal: undefined,
        onProgress: undefined,
      });
      const { failures } = await fillWithoutWorkers(task, shim, undefined, room);
      const done = new DoneChunks(task.done).count;
      return { failures, done, isCancelled: new SweepControl(task.control).cancelled };
    } finally {
      await plan.close();
    }
  }

  test.each([true, false])(
    "ends where memory is short, going on or not (%s)",
    async (keepGoing) => {
      const root = madeUpRoot({
        "proc/self/cgroup": "0::/app\n",
        [`${GROUP}/memory.max`]: `${100 * MIB}\n`,
        [`${GROUP}/memory.current`]: `${100 * MIB}\n`,
        [`${GROUP}/memory.stat`]: "anon 1\ninactive_file 0\nactive_file 0\n",
      });
      const { failures, done, isCancelled } = await readIn(new CgroupRoom(root), keepGoing);
      expect(isCancelled).toBe(true);
      expect(done).toBe(0);
      // One for each of the two reads at a time.
      expect(failures.length).toBeLessThanOrEqual(2);
      expect(failures[0]).toMatchObject({
        code: "PREFAULT_OUT_OF_MEMORY",
        message: "memory ran short: the cgroup uses 100 MiB of memory.max 100 MiB",
      });
    },
  );

  test("ends where the memory that a budget leaves is gone", async () => {
    const reserve = { bytes: Number.MAX_SAFE_INTEGER, filledBytes: 0 };
    const { failures, done } = await readIn(new CgroupRoom(madeUpRoot({})), true, reserve);
    expect(done).toBe(0);
    expect(failures[0]).toMatchObject({
      code: "PREFAULT_OUT_OF_MEMORY",
      message: expect.stringMatching(/available beside what was read, and the budget leaves/),
    });
  });

  test("reads all chunks where there is room", async () => {
    const { failures, done } = await readIn(new CgroupRoom(madeUpRoot({})), true);
    expect({ failures, done }).toEqual({ failures: [], done: 16 });
  });
});
