import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { mostOf } from "../helpers/tolerance.ts";
import type { Load } from "./children/load.ts";
import { runScript } from "./run-script.ts";

const MIB = 1024 ** 2;
const SWEEPS = 64;
/** `MOST_WORKERS`, and a few that Node adds for itself. */
const MOST_THREADS = 16 + 8;

describe.skipIf(process.platform !== "linux")(`${SWEEPS} sweeps of one model at once`, () => {
  const byteLength = 256 * MIB;
  const path = writeDataFile(join(temporaryFolder(), "model.bin"), byteLength);

  test("finish, read each byte about once, and share their threads", async () => {
    await evictAll(path);
    const child = await runScript<Load>("load", { path, byteLength, sweeps: SWEEPS });
    expect(child).toMatchObject({ code: 0, signal: null });
    if (child.output === undefined) throw new Error(child.stderr);
    const { codes, threadsBefore, mostThreads, readBytes, residentBytes } = child.output;
    expect(codes).toEqual([null]);
    expect(mostThreads - threadsBefore).toBeLessThanOrEqual(MOST_THREADS);
    expect(mostThreads).toBeGreaterThan(threadsBefore);
    expect(residentBytes).toBeGreaterThan(mostOf(byteLength));
    expect(readBytes).toBeGreaterThan(0.9 * byteLength);
    expect(readBytes).toBeLessThan(1.15 * byteLength);
  });
});
