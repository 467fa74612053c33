import { closeSync, openSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UNKNOWN_FACTS } from "../../shims/index.ts";
import type { Kernel32 } from "../../shims/kernel32.ts";
import { windowsShim } from "../../shims/windows.ts";
import { layOut } from "../../src/arena/layout.ts";
import { mapForSweep } from "../../src/arena/mapping.ts";
import { CONTROL_BYTES } from "../../src/control/arena-control.ts";
import { cutChunks } from "../../src/plan/merge.ts";
import { DoneChunks } from "../../src/sweep/done-chunks.ts";
import { runWorker } from "../../src/sweep/run-worker.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;
const LEAST = 200 * 1024;
const MOST = 1400 * 1024;

/** What Windows was asked to do, and what it answers; each test changes the answer it is about. */
function madeUpWindows(answers: Partial<Kernel32> = {}) {
  const state = { least: LEAST, most: MOST, views: new Set<bigint>(), locked: 0, read: 0 };
  const prefetched: bigint[][] = [];
  const kernel32: Kernel32 = {
    uv_get_osfhandle: (fd) => BigInt(fd),
    GetLastError: () => 999,
    GetSystemInfo: (info) => info.set([9, 4096]),
    CloseHandle: () => 1,
    TerminateProcess: () => 1,
    CreateFileMappingW: (file) => file,
    MapViewOfFile: () => {
      const address = BigInt(state.views.size + 1) << 32n;
      state.views.add(address);
      return address;
    },
    UnmapViewOfFile: (at) => (state.views.delete(at ?? 0n) ? 1 : 0),
    PrefetchVirtualMemory: (_process, count, ranges) => {
      expect(ranges).toHaveLength(2 * count);
      prefetched.push([...ranges]);
      return 1;
    },
    VirtualLock: (_at, bytes) => {
      state.locked += bytes;
      return bytes < state.least ? 1 : 0;
    },
    VirtualUnlock: () => 1,
    ReadProcessMemory: (_process, _at, _into, bytes) => {
      state.read += bytes;
      return 1;
    },
    GetProcessWorkingSetSizeEx: (_process, least, most, flags) => {
      least[0] = BigInt(state.least);
      most[0] = BigInt(state.most);
      flags[0] = 10;
      return 1;
    },
    SetProcessWorkingSetSizeEx: (_process, least, most, flags) => {
      expect(flags).toBe(10);
      Object.assign(state, { least, most });
      return 1;
    },
    K32QueryWorkingSetEx: () => 1,
    K32GetProcessMemoryInfo: (_process, counters) => {
      counters.set([72, 1234], 0);
      counters.set([5 * MIB, 1], 14);
      return 1;
    },
    GlobalMemoryStatusEx: (status) => {
      expect(status[0]).toBe(64n);
      status.set([16n * 2n ** 30n, 9n * 2n ** 30n], 1);
      return 1;
    },
    QueryInformationJobObject: () => 0,
    ...answers,
  };
  return { kernel32, state, prefetched, shim: windowsShim(kernel32) };
}

describe("the Windows shim over a made-up kernel32", () => {
  test("raises the working set while views are open, by whoever, and restores it", () => {
    const { kernel32, state, shim } = madeUpWindows();
    const another = windowsShim(kernel32);
    const [first, second] = [shim.openView(3, 0, MIB), shim.openView(3, 0, MIB)];
    const raised = state.least;
    expect(raised).toBeGreaterThanOrEqual(LEAST + 64 * MIB);
    expect(state.most - MOST).toBe(raised - LEAST);
    const third = another.openView(3, 0, MIB);
    first?.close();
    second?.close();
    expect(state.least).toBe(raised);
    third?.close();
    expect(state).toMatchObject({ least: LEAST, most: MOST });
    expect(state.views.size).toBe(0);
  });

  test("locks a few MiB at a time, and reads what may not be locked", () => {
    const { state, shim } = madeUpWindows();
    shim.populate(1n << 32n, 9 * MIB);
    expect(state).toMatchObject({ locked: 9 * MIB, read: 9 * MIB });
    const view = shim.openView(3, 0, MIB);
    shim.populate(1n << 32n, 9 * MIB);
    expect(state).toMatchObject({ locked: 18 * MIB, read: 9 * MIB });
    view?.close();
  });

  test("names the error when a page can be neither locked nor read", () => {
    const { shim } = madeUpWindows({ ReadProcessMemory: () => 0 });
    expect(() => shim.populate(1n << 32n, 9 * MIB)).toThrow(/ReadProcessMemory.*ERROR_SWAPERROR/);
  });

  test("goes on where the working set may not be raised", () => {
    const { state, shim } = madeUpWindows({ SetProcessWorkingSetSizeEx: () => 0 });
    shim.openView(3, 0, MIB)?.close();
    expect(state.least).toBe(LEAST);
  });

  test("counts pages in the working set, and those that are in memory elsewhere", async () => {
    const blocks = [1n, 1n << 22n, 2n << 22n, 0n, 0x8023n];
    const { shim } = madeUpWindows({
      K32QueryWorkingSetEx: (_process, pages, bytes) => {
        expect(bytes).toBe(16 * blocks.length);
        for (const [page, block] of blocks.entries()) pages[2 * page + 1] = block;
        return 1;
      },
    });
    const byteLength = blocks.length * 4096;
    expect(await shim.residentBytesAt([{ address: 4096n, byteLength }])).toBe(3 * 4096);
  });

  test("heeds a job's memory limit", () => {
    const limit = (flags: bigint) => {
      const { shim } = madeUpWindows({
        QueryInformationJobObject: (_job, what, info) => {
          expect(what).toBe(9);
          info[2] = flags;
          info[14] = 8n * 2n ** 30n;
          info[15] = 6n * 2n ** 30n;
          return 1;
        },
      });
      return shim.memory();
    };
    const committed = 2 ** 32 + 5 * MIB;
    const machine = { totalBytes: 16 * 2 ** 30, availableBytes: 9 * 2 ** 30 };
    expect(madeUpWindows().shim.memory()).toEqual(machine);
    expect(limit(0n)).toEqual(machine);
    const [processOnly, both] = [8 * 2 ** 30, 6 * 2 ** 30];
    expect(limit(0x100n)).toEqual({
      totalBytes: processOnly,
      availableBytes: processOnly - committed,
    });
    expect(limit(0x300n)).toEqual({ totalBytes: both, availableBytes: both - committed });
  });

  test("counts the process's faults", () => {
    expect(madeUpWindows().shim.faults()).toEqual({ minor: 1234, major: 0 });
  });
});

describe("a sweep over views", () => {
  const folder = temporaryFolder();

  function openFileOf(byteLength: number) {
    const path = join(folder, "file");
    writeFileSync(path, "");
    truncateSync(path, byteLength);
    return { path, fd: openSync(path, "r"), byteLength, facts: UNKNOWN_FACTS };
  }

  test("hints everything in one call, then fills all of it", () => {
    const { shim, prefetched, state } = madeUpWindows();
    const file = openFileOf(300 * MIB);
    const ranges = [
      { offset: 0, byteLength: 3 * MIB },
      { offset: 200 * MIB + 4096, byteLength: 2 * MIB },
    ];
    const layout = layOut([ranges]);
    const mapping = mapForSweep(layout, [file], shim);
    const chunks = cutChunks(layout.ranges, MIB);
    const task = {
      control: new SharedArrayBuffer(CONTROL_BYTES),
      chunks: chunks.buffer,
      done: DoneChunks.forChunks(chunks.length).buffer,
      arenas: [],
      views: mapping.views?.addresses ?? [],
      extents: layout.extents,
      files: [file],
      strategy: "populate",
      folioFaults: [],
      hintBytes: MIB,
      keepPageTables: false,
      keepGoing: false,
      reserve: null,
      turns: null,
    } as const;
    const result = runWorker(task, shim);
    mapping.release();
    closeSync(file.fd);

    expect(result.failures).toEqual([]);
    expect(result.untouchedBytes).toBe(0);
    expect(state.locked).toBe(5 * MIB);
    const entries = prefetched[0] ?? [];
    expect(prefetched).toHaveLength(1);
    expect(entries).toHaveLength(2 * chunks.length);
    expect(entries.slice(0, 2)).toEqual([task.views[0], BigInt(MIB)]);
    const bytes = entries.reduce((sum, entry, at) => (at % 2 ? sum + Number(entry) : sum), 0);
    expect(bytes).toBe(5 * MIB);
    expect(state.views.size).toBe(0);
  });

  test("says that the file shrank when there is less to map", () => {
    const { shim } = madeUpWindows({ MapViewOfFile: () => null });
    const file = openFileOf(3 * MIB);
    const layout = layOut([[{ offset: 0, byteLength: 3 * MIB }]]);
    const code = (expected: string) => expect.objectContaining({ code: expected });
    expect(() => mapForSweep(layout, [file], shim)).toThrow(code("PREFAULT_MAP_FAILED"));
    truncateSync(file.path, MIB);
    expect(() => mapForSweep(layout, [file], shim)).toThrow(code("PREFAULT_FILE_CHANGED"));
    closeSync(file.fd);
  });
});
