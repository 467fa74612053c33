import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Cgroup, inCgroup } from "./cgroup.ts";
import { type Started, start, startCli } from "./cli.ts";
import { type GuestCase, onlyOnSome } from "./guest.ts";
import {
  disk,
  judgedBytes,
  MIB,
  makeCold,
  makeHoles,
  readsOf,
  until,
  writeFile,
} from "./system.ts";

const BYTES = 96 * MIB;

/** For the file and a Node, and less than the neighbour reads. */
const LIMIT_BYTES = 320 * MIB;

/** Several looks, of a second each. */
const FLOOD_MS = 10_000;

/** Of a version 2 group, whose `memory.pressure` is its own. */
export const keepCases: readonly GuestCase[] = [
  {
    name: "keep: not filled again while a neighbour in the cgroup reads, and soon after",
    seconds: 240,
    run: ({ kernel }) => {
      onlyOnSome(kernel);
      return inCgroup([{ max: LIMIT_BYTES }], async (group) => {
        const running: Started[] = [];
        try {
          return await keepBesideFlood(group, running);
        } finally {
          // A group is removed only when its last process is gone.
          for (const { child } of running) child.kill("SIGKILL");
          await Promise.all(running.map(({ ended }) => ended));
        }
      });
    },
  },
];

async function keepBesideFlood(group: Cgroup, running: Started[]): Promise<unknown> {
  const path = writeFile(join(disk("ext4"), "kept"), BYTES);
  const flood = makeHoles(join(disk("xfs"), "flood"), 2 * LIMIT_BYTES);
  makeCold(path);
  const options = { cgroup: group.folder, timeoutMs: 220_000 };
  const kept = startCli(["keep", path, "--every", "1s", "--json", "--no-progress"], options);
  running.push(kept);
  const says = (what: RegExp) =>
    until(() => what.test(kept.output.stderr), String(what)).catch((error: Error) =>
      assert.fail(`${error.message}: ${kept.output.stderr}`),
    );
  await says(/it is kept so/);
  assert.ok(judgedBytes(path) > 0.97 * BYTES);

  const sign = "/tmp/flooding";
  writeFileSync(sign, "");
  const script = 'while [ -e "$0" ]; do cat "$1" > /dev/null; done';
  const neighbour = start(["sh", "-c", script, sign, flood], options);
  running.push(neighbour);
  await until(() => judgedBytes(path) < BYTES / 2, "half of it was pushed out");
  const before = readsOf("ext4").sectors;
  await sleep(FLOOD_MS);
  const readMiB = ((readsOf("ext4").sectors - before) * 512) / MIB;
  const pressure = group.read("memory.pressure").trim().replaceAll("\n", " ");
  const residentMiB = judgedBytes(path) / MIB;
  rmSync(sign);
  await neighbour.ended;

  const over = performance.now();
  // Counted when it says so, which is later than the last page is there.
  await says(/resident again/);
  const againSeconds = (performance.now() - over) / 1000;
  assert.ok(judgedBytes(path) > 0.97 * BYTES);
  kept.child.kill("SIGTERM");
  const { code, stdout, stderr } = await kept.ended;
  const { refills, postponed } = JSON.parse(stdout || "{}");
  const events = group.read("memory.events").trim().replaceAll("\n", " ");
  const told = { refills, postponed, stderr };
  const seen = { readMiB, residentMiB, againSeconds, ...told, pressure, events };
  assert.equal(code, 0, stderr);
  assert.ok(readMiB < 2, JSON.stringify(seen));
  assert.ok(refills >= 1 && postponed >= 1, JSON.stringify(seen));
  assert.match(events, /oom_kill 0/);
  return seen;
}
