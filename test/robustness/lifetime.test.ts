import { closeSync, mkdirSync, openSync, readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { evict } from "prefault";
import { describe, expect, test } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { parseOutput, runChild } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { start } from "../package/cli-process.ts";
import type { Lifetime } from "./children/lifetime.ts";
import { runScript } from "./run-script.ts";

const MIB = 1024 ** 2;
const ROUNDS = 2000;

describe.skipIf(process.platform !== "linux")("a process that sweeps", () => {
  const folder = temporaryFolder();
  const paths = [1, 2, 3].map((number) => writeDataFile(join(folder, `${number}`), 4 * MIB));

  test(`and aborts ${ROUNDS} times keeps nothing of it`, async () => {
    const argument = { paths, rounds: ROUNDS, seed: 1 };
    const child = await runScript("lifetime", argument, {
      flags: ["--expose-gc"],
      env: { TMPDIR: temporaryFolderOfItsOwn() },
    });
    expect(child).toMatchObject({ code: 0, signal: null, stderr: "" });
    const { before, early, late, outcomes } = parseOutput<Lifetime>(child);
    const { done = 0, PREFAULT_ABORTED: aborted = 0, ...others } = outcomes;
    expect(others).toEqual({});
    expect(done + aborted).toBe(ROUNDS);
    expect(aborted).toBeGreaterThan(ROUNDS / 20);
    expect(done).toBeGreaterThan(0);
    const counted = ({
      threads,
      descriptors,
      mappings,
      listeners,
      temporaryFiles,
    }: typeof late) => {
      return { threads, descriptors, mappings, listeners, temporaryFiles };
    };
    expect(counted(late)).toEqual(counted(before));
    // The arenas that wait for the next sweep, and code that is compiled, come with the first rounds.
    expect(late.heapBytes - early.heapBytes).toBeLessThan(4 * MIB);
    // Sixteen arenas wait for the next sweep, each with the 10 GiB of addresses V8 gives a memory.
    expect(late.virtualBytes - before.virtualBytes).toBeLessThan(320 * 1024 * MIB);
    // koffi keeps 36 KiB of each thread that had loaded it; there is about one a round.
    expect(late.rssBytes - early.rssBytes).toBeLessThan(ROUNDS * 64 * 1024);
  });

  test("from worker threads keeps nothing of it, also when they are ended", async () => {
    const child = await runScript("from-workers", { path: paths[0], rounds: 20 });
    const { before, after, outcomes } = parseOutput<{
      before: { threads: number };
      after: { threads: number };
      outcomes: Record<string, number>;
    }>(child);
    expect(after).toEqual(before);
    const { done = 0, ended = 0, ...others } = outcomes;
    expect(others).toEqual({});
    expect(done).toBeGreaterThanOrEqual(20);
    expect(done + ended).toBe(40);
  });

  test("and does nothing else exits by itself", async () => {
    // Neither awaited nor aborted.
    const script = `import { prefault } from "prefault"; prefault(process.argv[1], { log() {} });`;
    const child = await runChild(script, [paths[0] ?? ""]);
    expect(child).toMatchObject({ code: 0, signal: null, stdout: "", stderr: "" });
  });

  test.for([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("ends on %s with %i, and leaves nothing", async ([signal, code]) => {
    const large = join(folder, "large");
    closeSync(openSync(large, "w"));
    truncateSync(large, 2048 * MIB);
    const own = temporaryFolderOfItsOwn();
    const codes: (number | null)[] = [];
    for (let round = 0; round < 10; round++) {
      await evict([{ path: large }]);
      const command = start([large, "--workers", "1"], {
        env: { SHARPI_PREFAULT: "1", TMPDIR: own },
      });
      await sleep(200 + 40 * round);
      command.kill(signal);
      codes.push((await command.ended).code);
    }
    await evict([{ path: large }]);
    expect(codes).toContain(code);
    // None when it came before the handler was there, as for any program; 0 when it came too late.
    expect([code, null, 0]).toEqual(expect.arrayContaining(codes));
    expect(readdirSync(own)).toEqual([]);
  });

  let folders = 0;
  function temporaryFolderOfItsOwn(): string {
    const own = join(folder, `tmp-${folders++}`);
    mkdirSync(own);
    return own;
  }
});
