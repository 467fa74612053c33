import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type FileRegion, openModel } from "prefault";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  type BudgetModel,
  cachedBytes,
  writeBudgetModel,
  writeCsvProfile,
} from "../helpers/budget-model.ts";
import { hasFincore, writeDataFile } from "../helpers/data-file.ts";
import { fakeRun, freePort } from "../helpers/fake-server.ts";
import { makeMemoryCgroup } from "../helpers/memory-cgroup.ts";
import { evictAll, residentShare } from "../helpers/page-cache.ts";
import { until } from "../helpers/process-facts.ts";
import { runProcess } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { start } from "../package/cli-process.ts";

const MIB = 1024 ** 2;

/** For the three processes themselves. */
const PROGRAM_BYTES = 320 * MIB;

const CAP_SYS_NICE = 23n;
const CAP_IPC_LOCK = 14n;

/** Root keeps what is in the bounding set, so that these are really gone. */
const without = (...names: readonly string[]) => {
  const list = names.map((name) => `-${name}`).join(",");
  return ["setpriv", `--bounding-set=${list}`, `--inh-caps=${list}`];
};

const isRoot = process.platform === "linux" && process.getuid?.() === 0;

// A group of its own, and rights that are given up: both are root's.
describe.skipIf(!isRoot || !hasFincore)("a server whose model is larger than its memory", () => {
  const folder = temporaryFolder();
  const profile = join(folder, "profile.csv");
  const other = join(folder, "other");
  let model: BudgetModel;
  /** What every budget here has room for: the experts that are used most, of each layer. */
  let hottest: FileRegion[];
  let budget: number;

  beforeAll(async () => {
    const shape = { layers: 12, experts: 32, hidden: 1024, expertFeedForward: 768 };
    model = await writeBudgetModel(join(folder, "model.gguf"), shape);
    writeCsvProfile(profile, model, 1, 0);
    writeDataFile(other, 2 * model.bytes);
    budget = Math.floor(0.35 * model.bytes);
    hottest = await regionsOfRanks(8);
  }, 120_000);

  /** As `writeCsvProfile` ranks them. */
  async function regionsOfRanks(ranks: number): Promise<FileRegion[]> {
    const { tensors, files } = await openModel(model.path);
    return tensors
      .filter(({ name }) => name.includes("_exps"))
      .flatMap(({ name, file, offset, byteLength }) => {
        const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1]);
        const slice = byteLength / model.experts;
        return Array.from({ length: ranks }, (_, rank) => {
          const expert = (rank * 5 + layer * 3) % model.experts;
          return {
            path: files[file]?.path ?? "",
            offset: offset + expert * slice,
            byteLength: slice,
          };
        });
      });
  }

  interface Up {
    readonly server: number;
    readonly warmer: number;
    said(): string;
    /** In the group of the server. */
    flood(times: number): Promise<void>;
    end(): Promise<void>;
  }

  /** Starts a server in half a model's memory, and waits until something was said. */
  async function serve(
    own: readonly string[],
    isOver: RegExp,
    before: readonly string[],
    skip: (why: string) => never,
  ): Promise<Up> {
    // What is cached already is another group's, and costs this one nothing.
    await evictAll(...model.paths);
    const cgroup = makeMemoryCgroup(Math.floor(model.bytes / 2) + PROGRAM_BYTES);
    if (typeof cgroup === "string") return skip(cgroup);
    const fake = fakeRun(folder, { maps: true });
    onTestFinished(async () => {
      for (const pid of fake.processes()) process.kill(pid, "SIGKILL");
      await until(() => cgroup.pids().length === 0, "no process was left in the group");
      await cgroup.remove();
      expect(fake.written()).toEqual([]);
    });
    const stderr = join(fake.cwd, "..", "stderr");
    const port = await freePort();
    const options = ["--budget", `${budget}`, "--profile", profile, ...own];
    const line = [fake.program, "-m", model.path, "--port", `${port}`];
    const prefault = start(["run", ...options, "--", ...line], {
      env: fake.env,
      cwd: fake.cwd,
      cgroup: cgroup.folder,
      before: ["sh", "-c", 'exec "$@" 2> "$0"', stderr, ...before],
    });
    const said = () => (existsSync(stderr) ? readFileSync(stderr, "utf8") : "");
    const server = await fake.ready();
    await until(() => isOver.test(said()), `${isOver} was said`).catch((error) => {
      throw new Error(`${error}: ${said()}`);
    });
    return {
      server,
      warmer: fake.warmers()[0] ?? -1,
      said,
      async flood(times: number) {
        await evictAll(other);
        const dd = ["dd", `if=${other}`, "of=/dev/null", "bs=1M"];
        for (let time = 0; time < times; time++) {
          expect((await runProcess(dd, { cgroup: cgroup.folder })).code).toBe(0);
        }
      },
      async end() {
        prefault.kill("SIGTERM");
        expect(await prefault.ended).toMatchObject({ code: 0, signal: null });
      },
    };
  }

  const statusOf = (pid: number, key: string) =>
    new RegExp(`^${key}:\\s*(\\S+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  const lockedBytes = (pid: number) => Number(statusOf(pid, "VmLck")) * 1024;
  const has = (pid: number, capability: bigint) =>
    ((BigInt(`0x${statusOf(pid, "CapEff")}`) >> capability) & 1n) === 1n;

  test("has the hottest part of it resident after its load", looksAtPageCache, async ({ skip }) => {
    const { said, warmer, end } = await serve([], /Pre-faulted/, [], skip);
    expect(has(warmer, CAP_SYS_NICE)).toBe(true);
    expect(said(), said()).toMatch(/were paged out|room for .* could be made/);
    expect(await residentShare(...hottest)).toBeGreaterThan(mostOf(1));
    expect(cachedBytes(model.paths)).toBeGreaterThan(mostOf(budget) - MIB);
    await end();
  });

  test(
    "has it too where nothing may be paged out, by being read twice",
    looksAtPageCache,
    async ({ skip }) => {
      const before = without("sys_nice", "ipc_lock");
      const { said, warmer, end } = await serve([], /Pre-faulted/, before, skip);
      expect(has(warmer, CAP_SYS_NICE) || has(warmer, CAP_IPC_LOCK)).toBe(false);
      expect(said()).toMatch(
        /room (for .* )?could be made \(process_madvise.* failed with EPERM.*\), so that some of it is read from the disk twice|the cgroup reclaimed|were paged out/,
      );
      expect(await residentShare(...hottest)).toBeGreaterThan(mostOf(1));
      await end();
    },
  );

  test("keeps it with --lock, whatever else is read", looksAtPageCache, async ({ skip }) => {
    const { said, warmer, flood, end } = await serve(["--lock"], /are locked/, [], skip);
    expect(said()).not.toMatch(/are locked of/);
    expect(lockedBytes(warmer)).toBeGreaterThan(mostOf(budget) - MIB);
    expect(lockedBytes(warmer)).toBeLessThan(budget + MIB);
    await flood(3);
    expect(await residentShare(...hottest)).toBeGreaterThanOrEqual(1);
    await end();
  });

  test("keeps it from what is read once, as by a backup", looksAtPageCache, async ({ skip }) => {
    const { flood, end } = await serve([], /experts\] Pre-faulted/, [], skip);
    await flood(1);
    expect(await residentShare(...hottest)).toBeGreaterThan(0.9);
    await end();
  });

  test("locks as much as the limit allows, and says how to raise it", async ({ skip }) => {
    const before = ["prlimit", `--memlock=${8 * MIB}:${8 * MIB}`, ...without("ipc_lock")];
    const { said, warmer, end } = await serve(["--lock"], /locked/, before, skip);
    expect(has(warmer, CAP_IPC_LOCK)).toBe(false);
    expect(said()).toMatch(
      /MiB are locked of .*: the limit on locked memory is 8\.00 MiB; raise it by LimitMEMLOCK=infinity/,
    );
    expect(lockedBytes(warmer)).toBeGreaterThan(4 * MIB);
    expect(lockedBytes(warmer)).toBeLessThanOrEqual(8 * MIB);
    await end();
  });
});
