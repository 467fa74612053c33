import { describe, expect, test } from "vitest";
import { Calm, memoryPressure } from "../../../src/memory/calm.ts";
import { madeUpRoot, put } from "../../helpers/made-up-root.ts";

/** What the kernel has counted: microseconds of waiting, and pages that were scanned for reclaim. */
interface Counted {
  readonly waited: number;
  readonly scanned: number;
}

const stalls = (waited: number, average = 0) =>
  `some avg10=${average.toFixed(2)} avg60=0.00 avg300=0.00 total=${waited}\n` +
  "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
const system = ({ waited, scanned }: Counted) => ({
  "proc/pressure/memory": stalls(waited),
  "proc/vmstat": `pgscan_kswapd ${scanned}\npgscan_direct 0\n`,
});
const group = ({ waited, scanned }: Counted, hits = 0) => ({
  "proc/self/cgroup": "0::/own\n",
  "sys/fs/cgroup/own/memory.pressure": stalls(waited),
  "sys/fs/cgroup/own/memory.stat": `pgscan ${scanned}\n`,
  "sys/fs/cgroup/own/memory.max": "1000000\n",
  "sys/fs/cgroup/own/memory.current": "1000\n",
  "sys/fs/cgroup/own/memory.events.local": `high 0\nmax ${hits}\n`,
});

const none = { waited: 0, scanned: 0 };

/** Whether it was calm for a second in which the files became others. */
function calmAfter(before: Record<string, string>, after: Record<string, string>): boolean {
  const root = madeUpRoot(before);
  let ms = 0;
  const calm = new Calm(root, () => ms);
  ms = 1000;
  for (const [path, text] of Object.entries(after)) put(root, path, text);
  return calm.isCalm();
}

describe("memory is", () => {
  test("calm where nothing is measured", () => {
    expect(calmAfter({}, {})).toBe(true);
  });

  test.each([
    ["calm while nobody waits", { waited: 0, scanned: 500 }, true],
    ["calm at a wait of half a percent", { waited: 5000, scanned: 500 }, true],
    ["short when somebody waits", { waited: 15_000, scanned: 500 }, false],
    ["calm when the waiting is for evicted pages alone", { waited: 900_000, scanned: 0 }, true],
  ])("%s", (_, after, isCalm) => {
    expect(calmAfter(system(none), system(after))).toBe(isCalm);
    expect(calmAfter(group(none), group(after))).toBe(isCalm);
  });

  test("short when a limit was reached", () => {
    expect(calmAfter(group(none), group(none, 1))).toBe(false);
  });

  test("short when a limit of cgroup v1 was reached", () => {
    const v1 = (fails: number) => ({
      "proc/self/cgroup": "9:memory:/own\n",
      "sys/fs/cgroup/memory/own/memory.limit_in_bytes": "1000000\n",
      "sys/fs/cgroup/memory/own/memory.failcnt": `${fails}\n`,
    });
    expect(calmAfter(v1(3), v1(3))).toBe(true);
    expect(calmAfter(v1(3), v1(4))).toBe(false);
  });

  test("calm again whatever the average of ten seconds says", () => {
    const late = { ...system(none), "proc/pressure/memory": stalls(0, 60) };
    expect(calmAfter(late, late)).toBe(true);
  });
});

describe("the pressure", () => {
  test("is the highest of the machine and the groups", () => {
    const root = madeUpRoot({
      ...group(none),
      "proc/pressure/memory": stalls(0, 1.5),
      "sys/fs/cgroup/own/memory.pressure": stalls(0, 12.25),
    });
    expect(memoryPressure(root)).toBe(12.25);
  });

  test.each([
    ["no such file", {}],
    ["an empty file", { "proc/pressure/memory": "" }],
    ["other words", { "proc/pressure/memory": "some avg10=nan total=1\n" }],
  ])("is 0 with %s", (_, files: Record<string, string>) => {
    expect(memoryPressure(madeUpRoot(files))).toBe(0);
  });
});
