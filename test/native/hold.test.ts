import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type DescribedFile, loadShim, type Shim, UNKNOWN_FACTS } from "../../shims/index.ts";
import { lockRegions } from "../../src/hold/lock.ts";
import { makeRoom } from "../../src/hold/room.ts";
import { mapForeign } from "../fixtures/foreign-mapping.ts";
import { fincore, hasFincore, writeDataFile } from "../helpers/data-file.ts";
import { fakeRun } from "../helpers/fake-server.ts";
import { mappingsOf, until } from "../helpers/process-facts.ts";
import { type ChildOptions, runFixture, startProcess } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;
const SIZE = 12 * MIB;
const LARGE = 320 * MIB;

/** What the kernel counts as locked of this process. */
function lockedBytes(): number {
  const [, kib] = /^VmLck:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kib) * 1024;
}

/** Without the capability to lock more than the limit, and with this limit. */
const limitedTo = (bytes: number): ChildOptions["before"] => [
  ...["prlimit", `--memlock=${bytes}:${bytes}`],
  ...["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"],
];

const isRoot = process.getuid?.() === 0;

describe.skipIf(process.platform !== "linux")("on Linux", () => {
  const folder = temporaryFolder();
  const path = writeDataFile(join(folder, "data"), SIZE);
  const original = readFileSync(path);
  /** Of several calls that lock. */
  const large = writeDataFile(join(folder, "large"), LARGE);
  let shim: Shim;
  let file: DescribedFile;

  beforeAll(async () => {
    shim = await loadShim();
  });
  beforeEach(() => {
    const fd = openSync(path, "r");
    file = { fd, path, facts: { ...UNKNOWN_FACTS, mayKnow: true, mayMap: true } };
    return () => closeSync(fd);
  });

  const resident = (offset: number, byteLength: number) =>
    shim.residentBytes(file, offset, byteLength);
  const evict = () => shim.evict(file.fd, 0, SIZE);

  describe("a lock", () => {
    test("keeps exactly its pages in memory, until it is closed", looksAtPageCache, async () => {
      const before = lockedBytes();
      const lock = shim.openLock(file.fd, SIZE);
      await lock.lock(2 * MIB, MIB);
      await lock.lock(11 * MIB, MIB);
      expect(lockedBytes() - before).toBe(2 * MIB);
      await evict();
      await until(() => (resident(0, 2 * MIB) ?? 0) === 0, "what is not locked went");
      expect(resident(2 * MIB, MIB)).toBe(MIB);
      expect(resident(11 * MIB, MIB)).toBe(MIB);
      if (hasFincore) expect(fincore(path)).toBeLessThan(4 * MIB);

      lock.close();
      expect(lockedBytes()).toBe(before);
      expect(mappingsOf(path)).toEqual([]);
      await evict();
      expect(resident(2 * MIB, MIB)).toBe(0);
    });

    test("is of a shared mapping that cannot be written to, and changes no byte", async () => {
      const lock = shim.openLock(file.fd, SIZE);
      onTestFinished(() => lock.close());
      await lock.lock(0, SIZE);
      expect(mappingsOf(path).map(({ access }) => access)).toEqual(
        expect.arrayContaining(["r--s"]),
      );
      expect(new Set(mappingsOf(path).map(({ access }) => access)).size).toBe(1);
      expect(readFileSync(path).equals(original)).toBe(true);
    });

    test("that is closed while it locks ends early, without an error", async () => {
      const before = lockedBytes();
      const fd = openSync(large, "r");
      const lock = shim.openLock(fd, LARGE);
      const locking = lock.lock(0, LARGE);
      lock.close();
      await locking;
      closeSync(fd);
      expect(lockedBytes()).toBe(before);
      expect(mappingsOf(large)).toEqual([]);
    });

    test("of several holders lasts as long as the last of them", async () => {
      const [one, other] = [shim.openLock(file.fd, SIZE), shim.openLock(file.fd, SIZE)];
      onTestFinished(() => other.close());
      for (const lock of [one, other]) await lock.lock(0, 3 * MIB);
      one.close();
      await evict();
      expect(resident(0, 3 * MIB)).toBe(3 * MIB);
    });

    test.skipIf(!isRoot)("ends at the limit, which is told before", async () => {
      type Locking = { lockableBytes: number; lockedBytes: number; errno: string; told: number };
      const limited = await runFixture<Locking>("locking.ts", [path], {}, limitedTo(5 * MIB));
      expect(limited).toEqual({
        lockableBytes: 5 * MIB,
        lockedBytes: 5 * MIB,
        errno: "ENOMEM",
        told: 5 * MIB,
      });
    });

    test.skipIf(!isRoot)("is refused whole by a limit of 0", async () => {
      const none = await runFixture("locking.ts", [path], {}, limitedTo(0));
      expect(none).toEqual({ lockableBytes: 0, lockedBytes: 0, errno: "EPERM", told: 0 });
    });

    test.skipIf(!isRoot)("has no limit for who may lock more than it", async () => {
      const before = ["prlimit", `--memlock=${MIB}:${MIB}`];
      const all = await runFixture("locking.ts", [path], {}, before);
      expect(all).toEqual({ lockableBytes: null, lockedBytes: SIZE, errno: null, told: SIZE });
    });
  });

  describe("regions that are held", () => {
    test("stay in memory until they are released", looksAtPageCache, async () => {
      const before = lockedBytes();
      const regions = [
        { path, offset: MIB + 5, byteLength: 1 },
        { path, offset: 4 * MIB, byteLength: 2 * MIB },
        { path, offset: SIZE - 1, byteLength: 1 },
      ];
      const held = await lockRegions(regions);
      const bytes = 2 * MIB + 2 * shim.pageBytes;
      expect(held).toMatchObject({ lockedBytes: bytes, wantedBytes: bytes, why: null });
      expect(lockedBytes() - before).toBe(bytes);
      await evict();
      expect(resident(MIB, shim.pageBytes)).toBe(shim.pageBytes);
      expect(resident(4 * MIB, 2 * MIB)).toBe(2 * MIB);
      held.release();
      held.release();
      expect(lockedBytes()).toBe(before);
      expect(mappingsOf(path)).toEqual([]);
    });

    test("leave nothing behind when they are aborted, at whatever moment", async () => {
      const before = lockedBytes();
      const regions = [{ path: large, offset: 0, byteLength: LARGE }];
      for (const isLocking of [() => true, () => mappingsOf(large).length > 0]) {
        const controller = new AbortController();
        const locking = lockRegions(regions, { signal: controller.signal });
        while (!isLocking()) await turn();
        controller.abort();
        await expect(locking).rejects.toMatchObject({ code: "PREFAULT_ABORTED" });
        await until(() => mappingsOf(large).length === 0, "nothing was mapped any more");
        expect(lockedBytes()).toBe(before);
      }
    });
  });

  describe("paging out", () => {
    const KEPT = { offset: 4 * MIB, byteLength: 2 * MIB };

    /** All of a file but {@link KEPT}, at the address where it is mapped. */
    const others = (address: bigint) => [
      { address, byteLength: KEPT.offset },
      { address: address + BigInt(6 * MIB), byteLength: SIZE - 6 * MIB },
    ];

    function expectOnlyKept() {
      expect(resident(0, KEPT.offset)).toBe(0);
      expect(resident(KEPT.offset, KEPT.byteLength)).toBe(KEPT.byteLength);
      expect(resident(6 * MIB, SIZE - 6 * MIB)).toBe(0);
      if (hasFincore) expect(fincore(path)).toBe(KEPT.byteLength);
    }

    test("takes exactly those pages of this process's mapping", looksAtPageCache, async () => {
      const { address, unmap } = mapForeign(path, SIZE);
      onTestFinished(unmap);
      shim.populate(address, SIZE);
      expect(resident(0, SIZE)).toBe(SIZE);
      // Pages that another processor has just read wait in its own list, and cannot be taken from there. What is mapped
      // stays, and the lists are emptied (mm/fadvise.c, lru_add_drain_all).
      await evict();
      await shim.pageOut(process.pid, others(address));
      expectOnlyKept();
    });

    test.skipIf(!isRoot)("takes those of another process's", looksAtPageCache, async () => {
      const run = fakeRun(folder, { maps: true });
      const child = startProcess([run.program, "-m", path], { env: run.env });
      onTestFinished(async () => {
        child.kill("SIGKILL");
        await child.ended;
      });
      const pid = await run.ready();
      const [mapping, ...more] = (await shim.findMappings(path, pid)) ?? [];
      expect(more).toEqual([]);
      expect(mapping).toMatchObject({ byteLength: SIZE, offset: 0 });
      expect(mapping?.address).toBe(BigInt(run.events()[1]?.mapped ?? 0));
      expect(resident(0, SIZE)).toBe(SIZE);
      await shim.pageOut(pid, others(mapping?.address ?? 0n));
      expectOnlyKept();
    });

    test.skipIf(!isRoot)("takes more ranges than one call does", looksAtPageCache, async () => {
      const { address, unmap } = mapForeign(path, SIZE);
      onTestFinished(unmap);
      // A folio of many pages may be in use for a moment, and cannot be divided then.
      await evict();
      shim.advise(address, SIZE, "random");
      shim.populate(address, SIZE);
      const page = shim.pageBytes;
      const every = Array.from({ length: SIZE / page / 2 }, (_, index) => ({
        address: address + BigInt(2 * index * page),
        byteLength: page,
      }));
      expect(every.length).toBeGreaterThan(1024);
      // Pages that another processor has just read wait in its own list, and cannot be taken for a moment.
      for (let times = 0; times < 20 && resident(0, SIZE) !== SIZE / 2; times++) {
        await shim.pageOut(process.pid, every);
        await turn();
      }
      expect(resident(0, SIZE)).toBe(SIZE / 2);
      expect(resident(0, page)).toBe(0);
      expect(resident(page, page)).toBe(page);
    });

    test("of a process that is gone fails with its error, and leaves no descriptor", async () => {
      const open = () => readdirSync("/proc/self/fd").length;
      const before = open();
      for (let round = 0; round < 20; round++) {
        await expect(shim.pageOut(2 ** 22 + 7, [])).rejects.toThrow(/pidfd_open.*ESRCH/);
        await shim.pageOut(process.pid, []);
      }
      expect(open()).toBe(before);
    });

    test.skipIf(!isRoot)("of another process is refused without the right to it", async () => {
      const { address, unmap } = mapForeign(path, MIB);
      onTestFinished(unmap);
      const before = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice"];
      const args = [String(process.pid), String(address), String(MIB)];
      const refused = await runFixture("paging-out.ts", args, {}, before);
      expect(refused).toEqual({ errno: "EPERM" });
      expect(await runFixture("paging-out.ts", args)).toEqual({ errno: null });
    });
  });

  describe("room", () => {
    test("is there where memory is free, and nothing is paged out", async () => {
      const { address, unmap } = mapForeign(path, SIZE);
      onTestFinished(unmap);
      shim.populate(address, SIZE);
      const room = await makeRoom(process.pid, [{ path, offset: 0, byteLength: MIB }]);
      expect(room).toEqual({ by: "free memory", wantedBytes: 0, freedBytes: 0, refusals: [] });
      expect(resident(0, SIZE)).toBe(SIZE);
    });
  });
});
