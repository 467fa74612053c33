import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { type Shim, UNKNOWN_FACTS } from "../../shims/index.ts";
import { portableShim } from "../../shims/portable.ts";
import { EvictionSampler } from "../../src/memory/eviction-sampler.ts";
import { Pressure } from "../../src/memory/pressure.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;

describe("the head of a sweep", () => {
  const path = writeDataFile(join(temporaryFolder(), "file"), MIB);
  const source = { path, fd: 0, byteLength: 0, facts: UNKNOWN_FACTS };
  const chunk = (number: number, byteLength = 32 * MIB) => {
    return { arena: 0, start: 0, file: 0, offset: number * byteLength, byteLength };
  };

  /** A system on which everything is resident but what lies below some offset. */
  function headOn(evicted: { below: number | null }): EvictionSampler {
    const shim: Shim = {
      ...portableShim(),
      residentBytes(_fd, offset, byteLength) {
        if (evicted.below === null) return null;
        return offset < evicted.below ? 0 : byteLength;
      },
    };
    return new EvictionSampler([source], shim);
  }

  test("is there as long as nothing is evicted", () => {
    const head = headOn({ below: 0 });
    for (let number = 0; number < 1000; number++) head.add(chunk(number));
    expect(head.look()).toBeNull();
  });

  test.each([20, 100, 1000])("may lose a tenth of %i chunks, and not a third", (chunks) => {
    const evicted = { below: 0 };
    const lost = headOn(evicted);
    const kept = headOn(evicted);
    for (let number = 0; number < chunks; number++) {
      lost.add(chunk(number));
      kept.add(chunk(number));
    }
    evicted.below = 0.1 * chunks * 32 * MIB;
    expect(kept.look()).toBeNull();
    evicted.below = 0.4 * chunks * 32 * MIB;
    expect(lost.look()).toMatch(/^\d+ % of what was read first is evicted again$/);
  });

  test("is not looked at where the system will not say", () => {
    const head = headOn({ below: null });
    for (let number = 0; number < 10; number++) head.add(chunk(number));
    expect(head.look()).toBeNull();
  });
});

describe("memory pressure", () => {
  const folder = temporaryFolder();
  let root = "";
  let tests = 0;
  let nowMs = 0;

  beforeEach(() => {
    root = join(folder, `${tests++}`);
    nowMs = 0;
    put("proc/self/cgroup", "0::/group\n");
  });

  function put(path: string, text: string): void {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }

  function system({ stalledMs, scanned }: { stalledMs: number; scanned: number }): void {
    put("proc/pressure/memory", pressure(stalledMs));
    // Under the last key it counts what other groups reclaim of their own, too.
    const others = `pgscan_file ${tests * 1000 + stalledMs}\n`;
    put("proc/vmstat", `pgfault 7\npgscan_kswapd ${scanned}\npgscan_direct 3\n${others}`);
  }

  const pressure = (ms: number) =>
    `some avg10=9.00 avg60=0.00 avg300=0.00 total=99999999\n` +
    `full avg10=0.00 avg60=0.00 avg300=0.00 total=${ms * 1000}\n`;

  const look = (watch: Pressure, atMs: number) => {
    nowMs = atMs;
    return watch.look();
  };

  test("stops a sweep when programs stand still while pages are reclaimed", () => {
    system({ stalledMs: 50_000, scanned: 1 });
    const watch = new Pressure(root, () => nowMs);
    expect(look(watch, 0)).toBeNull();
    system({ stalledMs: 50_100, scanned: 2 });
    expect(look(watch, 1000)).toBeNull();
    system({ stalledMs: 50_900, scanned: 3 });
    expect(look(watch, 2000)).toBe("all programs waited for memory 80 % of the last second");
  });

  test("is not believed when nothing is reclaimed: what was evicted before is read back", () => {
    system({ stalledMs: 0, scanned: 1 });
    const watch = new Pressure(root, () => nowMs);
    look(watch, 0);
    system({ stalledMs: 1000, scanned: 1 });
    expect(look(watch, 1000)).toBeNull();
  });

  test("is that of the own group too", () => {
    system({ stalledMs: 0, scanned: 1 });
    put("sys/fs/cgroup/group/memory.pressure", pressure(0));
    put("sys/fs/cgroup/group/memory.stat", "anon 1\npgscan 5\n");
    const watch = new Pressure(root, () => nowMs);
    look(watch, 0);
    put("sys/fs/cgroup/group/memory.pressure", pressure(500));
    put("sys/fs/cgroup/group/memory.stat", "anon 1\npgscan 6\n");
    expect(look(watch, 1000)).toBe("all programs waited for memory 50 % of the last second");
  });

  test("is looked at once a second at most", () => {
    system({ stalledMs: 0, scanned: 1 });
    const watch = new Pressure(root, () => nowMs);
    look(watch, 0);
    system({ stalledMs: 900, scanned: 2 });
    expect(look(watch, 900)).toBeNull();
    expect(look(watch, 1000)).not.toBeNull();
  });

  test("is none where the kernel does not measure it", () => {
    const watch = new Pressure(root, () => nowMs);
    expect(look(watch, 0)).toBeNull();
    expect(look(watch, 5000)).toBeNull();
  });
});
