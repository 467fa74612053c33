import assert from "node:assert/strict";
import { truncateSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { cli, prefaultApart } from "./cli.ts";
import type { Guest, GuestCase } from "./guest.ts";
import { blockOf, pageBytes } from "./raw.ts";
import { judgedBytes, MIB, makeCold, mappedDisk, writeFile } from "./system.ts";

/** Of the file systems here. */
const BLOCK_BYTES = 4096;
const SECTORS = BLOCK_BYTES / 512;

const BYTES = 32 * MIB;
/** The largest that these kernels make of a file that is read. */
const FOLIO_BYTES = 4 * MIB;

const BAD_OFFSET = 16 * MIB + 5 * BLOCK_BYTES;

/** What does not come back is killed then: kernels before 6.9 may try a failing read for ever. */
const GIVE_UP_MS = 45_000;

/** `touch` is left out: there a read that fails is a signal, as its documentation says. */
const STRATEGIES = ["auto", "read"] as const;

/** A device that fails, is slow, or a file that changes under the sweep. */
export const failingCases: readonly GuestCase[] = [
  ...STRATEGIES.map((strategy) => ({
    name: `an I/O error in the middle is told with its place, and the rest is filled, with ${strategy}`,
    seconds: 150,
    run: ({ kernel }: Guest) =>
      withBadBlock(async (path) => {
        // Of a large folio with a bad block nothing can be read, and each of its pages fails.
        const unit = kernel.largeFolios.includes("ext4") ? FOLIO_BYTES : pageBytes;
        const bad = BAD_OFFSET - (BAD_OFFSET % unit);
        makeCold(path);
        const stopped = await prefaultApart(path, { strategy, workers: 1 }, GIVE_UP_MS);
        const { code, errno, offset } = stopped.error ?? {};
        assert.deepEqual([code, errno], ["PREFAULT_READ_FAILED", "EIO"], stopped.error?.message);
        assert.ok(offset !== undefined && offset >= bad && offset <= BAD_OFFSET, `${offset}`);
        makeCold(path);
        const options = { strategy, workers: 1, onError: "continue" } as const;
        const report = await prefaultApart(path, options, GIVE_UP_MS);
        const failures = report.failures.map(({ offset, byteLength, errno }) => ({
          offset,
          byteLength,
          errno,
        }));
        if (unit === pageBytes) {
          assert.deepEqual(failures, [{ offset: bad, byteLength: pageBytes, errno: "EIO" }]);
        } else {
          const isInside = failures.every(({ offset, byteLength, errno }) => {
            return errno === "EIO" && offset >= bad && offset + byteLength <= bad + unit;
          });
          const isTold = failures.some(({ offset, byteLength }) => {
            return offset <= BAD_OFFSET && BAD_OFFSET < offset + byteLength;
          });
          assert.ok(isInside && isTold, JSON.stringify(failures));
        }
        // A page that could not be read may be there, not up to date.
        assert.ok(BYTES - judgedBytes(path) <= unit, `${judgedBytes(path)}`);
        return { failures, used: report.strategy };
      }),
  })),
  {
    name: "an I/O error ends the command with status 1 and a sentence",
    seconds: 180,
    run: () =>
      withBadBlock(async (path) => {
        makeCold(path);
        const { code, stderr, seconds } = await cli(["warm", path, "--no-progress"], {
          timeoutMs: GIVE_UP_MS,
        });
        assert.equal(code, 1);
        assert.match(stderr, /EIO/);
        assert.doesNotMatch(stderr, /^ +at /m);
        return { stderr, seconds };
      }),
  },
  ...(["auto", "touch", "read"] as const).map((strategy) => ({
    name: `a file that is truncated meanwhile is told so, with ${strategy}`,
    run: ({ prefault: { prefault } }: Guest) =>
      withSlowDevice(strategy === "touch" ? TOUCH_DELAY_MS : DELAY_MS, async (path) => {
        const started = prefault([{ path }], { log() {}, strategy, workers: 1 });
        await sleep(1500);
        truncateSync(path, MIB);
        const { error } = await started;
        assert.equal(error?.code, "PREFAULT_FILE_CHANGED", String(error));
        return { message: error?.message };
      }),
  })),
  ...STRATEGIES.map((strategy) => ({
    name: `an abort on a slow device is obeyed soon, with ${strategy}`,
    run: ({ prefault: { prefault } }: Guest) =>
      withSlowDevice(DELAY_MS, async (path) => {
        const signal = AbortSignal.timeout(2000);
        const started = performance.now();
        const options = { log() {}, signal, strategy, workers: 2 };
        const report = await prefault([{ path }], options);
        const seconds = (performance.now() - started) / 1000;
        assert.equal(
          report.error?.code,
          "PREFAULT_ABORTED",
          JSON.stringify({ ...report, seconds }),
        );
        assert.ok(seconds < 8, `${seconds} s`);
        return { seconds, residentMiB: judgedBytes(path) / MIB };
      }),
  })),
];

/** A file with one block that the device fails to read. */
async function withBadBlock<T>(use: (path: string) => Promise<T>): Promise<T> {
  const { folder, mapped } = mappedDisk();
  const path = writeFile(join(folder, "bad-block"), BYTES);
  const sector = blockOf(path, BAD_OFFSET / BLOCK_BYTES) * SECTORS;
  mapped.reload([
    { sectors: sector, kind: "linear" },
    { sectors: SECTORS, kind: "error" },
    { sectors: mapped.sectors - sector - SECTORS, kind: "linear" },
  ]);
  try {
    return await use(path);
  } finally {
    mapped.reset();
  }
}

/** For each request, of which a fill makes two at least: none is over before something happens to it. */
const DELAY_MS = 3000;

/** A touch of small pages makes so many requests that it would take minutes. */
const TOUCH_DELAY_MS = pageBytes > 4096 ? DELAY_MS : 500;

/** A file on a slow device. */
async function withSlowDevice<T>(delayMs: number, use: (path: string) => Promise<T>): Promise<T> {
  const { folder, mapped } = mappedDisk();
  const path = writeFile(join(folder, "slow"), BYTES);
  makeCold(path);
  mapped.reload([{ sectors: mapped.sectors, kind: "delay", delayMs }]);
  try {
    return await use(path);
  } finally {
    mapped.reset();
  }
}
