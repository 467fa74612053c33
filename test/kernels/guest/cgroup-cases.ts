import assert from "node:assert/strict";
import { join } from "node:path";
import { type Cgroup, inCgroup, type Limits } from "./cgroup.ts";
import { cli, type Ended, type PlainReport } from "./cli.ts";
import type { GuestCase } from "./guest.ts";
import { pageBytes } from "./raw.ts";
import { disk, judgedBytes, MIB, makeCold, makeHoles, writeFile } from "./system.ts";

/** The file of all these cases. */
const BYTES = 512 * MIB;
const HALF = BYTES / 2;

/** About what Node takes by itself: more where a page is larger. */
const NODE_BYTES = (pageBytes > 4096 ? 160 : 64) * MIB;

/** What the command reads to find out what kind of file it is, and what is read ahead of that. */
const HEADER_BYTES = MIB;

/**
 * The most a sweep may take that has to end by itself. Emulated, Node alone takes several seconds;
 * one that goes on at the speed that the kernel slows it down to takes minutes.
 */
const SOON_S = 45;

interface Tried {
  readonly title: string;
  readonly levels: readonly Limits[];
}

const TOO_SMALL: readonly Tried[] = [
  { title: "memory.max at half the file", levels: [{ max: HALF }] },
  { title: "memory.high at half the file", levels: [{ high: HALF }] },
  { title: "memory.max of an outer group at half the file", levels: [{ max: HALF }, {}] },
  { title: "memory.high of an outer group at half the file", levels: [{ high: HALF }, {}] },
  {
    title: "memory.high at half the file below a memory.max that would do",
    levels: [{ max: 2 * BYTES, high: HALF }],
  },
];

export const cgroupCases: readonly GuestCase[] = [
  ...TOO_SMALL.map(({ title, levels }) => ({
    name: `${title}: the gate skips, says why, and reads nothing`,
    run: () =>
      inCgroup(levels, async (group) => {
        const path = coldFile();
        const { ended, report } = await warm(path, group);
        assert.equal(report.ran, false, JSON.stringify(report));
        assert.match(report.reason, /^skipped: 0\.50 GiB exceeds 80% of 0\.\d\d GiB RAM/);
        assert.ok(judgedBytes(path) <= HEADER_BYTES);
        return { reason: report.reason, seconds: ended.seconds };
      }),
  })),
  ...TOO_SMALL.slice(0, 2).map(({ title, levels }) => ({
    name: `${title}: forced, the fill ends early with what it has`,
    seconds: 150,
    run: () =>
      inCgroup(levels, async (group) => {
        const path = coldFile();
        const { ended, report } = await warm(path, group, { SHARPI_PREFAULT: "1" });
        const resident = judgedBytes(path);
        const seen = {
          code: report.error?.code,
          message: report.error?.message,
          residentMiB: resident / MIB,
          seconds: ended.seconds,
          events: group.read("memory.events").trim().replaceAll("\n", " "),
          pressure: group.read("memory.pressure").trim().replaceAll("\n", " "),
        };
        assert.equal(report.ran, true, JSON.stringify(seen));
        assert.equal(report.error?.code, "PREFAULT_OUT_OF_MEMORY", JSON.stringify(seen));
        assert.ok(ended.seconds < SOON_S, JSON.stringify(seen));
        assert.ok(resident > 0.25 * HALF && resident <= HALF, JSON.stringify(seen));
        assert.match(seen.events, /oom_kill 0/);
        return seen;
      }),
  })),
  {
    // Node alone takes as much: everything it does is slowed down, and each page is read again.
    name: "memory.high at half a file that Node alone fills: forced, the fill ends early",
    seconds: 240,
    run: () =>
      inCgroup([{ high: NODE_BYTES }], async (group) => {
        const path = writeFile(join(disk("ext4"), "written"), 2 * NODE_BYTES);
        makeCold(path);
        const { ended, report } = await warm(path, group, { SHARPI_PREFAULT: "1" });
        const events = group.read("memory.events").trim().replaceAll("\n", " ");
        // Node's own start is slowed down as well, which no one can help.
        const { seconds } = report;
        const seen = { ...report.error, seconds, wholeSeconds: ended.seconds, events };
        assert.ok(seconds < SOON_S, JSON.stringify(seen));
        assert.equal(report.error?.code, "PREFAULT_OUT_OF_MEMORY", JSON.stringify(seen));
        return seen;
      }),
  },
  {
    name: "a cgroup with room for the file takes it, and is charged for it",
    run: ({ kernel }) =>
      inCgroup([{ max: 4 * BYTES, high: 3 * BYTES }, {}], async (group) => {
        const path = coldFile();
        const { report } = await warm(path, group);
        assert.equal(report.error, undefined);
        // Linux 5.10 takes some pages for the machine, which has little more memory than that.
        const least = kernel.populate ? BYTES : 0.99 * BYTES;
        assert.ok(judgedBytes(path) >= least, `${judgedBytes(path)}`);
        const [, charged] = /^file (\d+)$/m.exec(group.read("memory.stat")) ?? [];
        assert.ok(Number(charged) >= least, charged);
        return { charged, reason: report.reason };
      }),
  },
];

/** The same file each time: what it has cached is charged to whoever touches it first. */
function coldFile(): string {
  const path = makeHoles(join(disk("ext4"), "hole"), BYTES);
  makeCold(path);
  return path;
}

async function warm(
  path: string,
  { folder }: Cgroup,
  env: Record<string, string> = {},
): Promise<{ ended: Ended; report: PlainReport }> {
  const args = ["warm", path, "--json", "--no-progress"];
  const ended = await cli(args, { cgroup: folder, env, timeoutMs: 200_000 });
  if (ended.stdout === "") throw new Error(`nothing on stdout: ${JSON.stringify(ended)}`);
  return { ended, report: JSON.parse(ended.stdout) };
}
