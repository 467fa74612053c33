import { totalmem } from "node:os";
import { expect, test } from "vitest";
import { shouldRun } from "../../../src/gate.ts";
import { availableBytes, isMemoryShort, totalBytes } from "../../../src/memory/memory.ts";
import { madeUpRoot } from "../../helpers/made-up-root.ts";
import { onLinux } from "../../helpers/platform.ts";

const MIB = 1024 ** 2;

/** A machine with plenty of memory, and a process in a group below a slice. */
function machine(files: Readonly<Record<string, string>>): string {
  return madeUpRoot({
    "proc/self/cgroup": "0::/slice/app\n",
    "proc/meminfo": `MemFree: ${totalmem() / 1024} kB\nMemAvailable: ${totalmem() / 1024} kB\n`,
    ...Object.fromEntries(
      Object.entries(files).map(([name, text]) => [`sys/fs/cgroup/slice/${name}`, text]),
    ),
  });
}

onLinux("memory", () => {
  test("is at most what the machine has", () => {
    expect(totalBytes()).toBeGreaterThan(0);
    expect(totalBytes()).toBeLessThanOrEqual(totalmem());
  });

  test("that is available is at most all of it, whatever the target has cached", () => {
    expect(availableBytes(0)).toBeGreaterThan(0);
    expect(availableBytes(0)).toBeLessThanOrEqual(totalBytes());
    expect(availableBytes(2 ** 50)).toBeLessThanOrEqual(totalBytes());
  });

  test("is what memory.high of any level leaves", () => {
    const root = machine({
      "memory.high": `${60 * MIB}`,
      "memory.current": `${20 * MIB}`,
      "memory.stat": `inactive_file ${5 * MIB}\n`,
      "app/memory.max": `${100 * MIB}`,
      "app/memory.current": "0",
    });
    expect(totalBytes(null, root)).toBe(60 * MIB);
    expect(availableBytes(0, null, root)).toBe(45 * MIB);
  });

  test.each([
    ["a limit of nothing", { "app/memory.max": "0" }],
    ["a group that is full", { "app/memory.high": "1000000", "app/memory.current": "1000000" }],
  ])("is known, and next to nothing, with %s", (_, files) => {
    const root = machine(files);
    const question = { mode: undefined, totalBytes: MIB, gate: "fits-in-free-ram" } as const;
    const { run } = shouldRun({ ...question, availableBytes: availableBytes(0, null, root) });
    expect(run).toBe(false);
    expect(isMemoryShort(root)).toBe(true);
  });

  test("is short at memory.high, however far away memory.max is", () => {
    const files = { "app/memory.max": `${900 * MIB}`, "app/memory.high": `${100 * MIB}` };
    const used = (mib: number) =>
      isMemoryShort(machine({ ...files, "app/memory.current": `${mib * MIB}` }));
    expect(used(50)).toBe(false);
    expect(used(99)).toBe(true);
  });
});
