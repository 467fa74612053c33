import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FileFacts, loadShim, type Shim } from "../../shims/index.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { factsOf } from "./facts-of.ts";

const MIB = 1024 ** 2;

// The calls of `shims/linux.ts` themselves: there is nothing to ask of them on another system.
describe.skipIf(process.platform !== "linux")("the Linux shim", () => {
  const folder = temporaryFolder();
  let shim: Shim;
  let facts: FileFacts;

  beforeAll(async () => {
    shim = await loadShim();
    facts = await factsOf(shim, writeDataFile(join(folder, "data"), MIB));
  });

  describe("the lease", () => {
    const leased = join(folder, "leased");
    beforeEach(() => void writeDataFile(leased, MIB));

    const withLease = async (act: (lease: { hold(): boolean; release(): void }) => unknown) => {
      const own = openSync(leased, "r");
      const lease = shim.openLease({ fd: own, path: leased, facts });
      if (lease === null) throw new Error("no lease");
      try {
        await act(lease);
      } finally {
        lease.release();
        lease.close();
        closeSync(own);
      }
    };

    test("cannot be held while someone has the file open for writing, and can be afterwards", () =>
      withLease((lease) => {
        const writer = openSync(leased, "r+");
        expect(lease.hold()).toBe(false);
        closeSync(writer);
        expect(lease.hold()).toBe(true);
      }));

    test("can be held again and again, and by several at a time", () =>
      withLease((first) =>
        withLease((second) => {
          for (let round = 0; round < 100; round++) {
            expect(first.hold()).toBe(true);
            expect(second.hold()).toBe(true);
            first.release();
            second.release();
          }
        }),
      ));

    test("makes another process that truncates wait, and its signal does no harm", () =>
      withLease(async (lease) => {
        expect(lease.hold()).toBe(true);
        // `truncate` itself does not wait, but fails with EWOULDBLOCK.
        const truncating = spawn("sh", ["-c", ': > "$0"', leased]);
        const exit = once(truncating, "exit");
        // Once the kernel says that the lease is being broken, the other one waits.
        const { ino } = statSync(leased);
        await until(
          () => new RegExp(`LEASE\\s+BREAK.*:${ino} `).test(readFileSync("/proc/locks", "utf8")),
          "the lease is being broken",
        );
        await sleep(50);
        expect(statSync(leased).size).toBe(MIB);
        lease.release();
        expect(await exit).toEqual([0, null]);
        expect(statSync(leased).size).toBe(0);
      }));

    test("does not keep readers away", () =>
      withLease((lease) => {
        expect(lease.hold()).toBe(true);
        expect(readFileSync(leased)).toHaveLength(MIB);
      }));
  });
});
