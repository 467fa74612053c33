import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { parseOutput } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import type { Load } from "./children/load.ts";
import { runScript } from "./run-script.ts";

const MIB = 1024 ** 2;
const SWEEPS = 64;
/** `MOST_WORKERS`, and a few that Node adds for itself. */
const MOST_THREADS = 16 + 8;

describe.skipIf(process.platform !== "linux")(`${SWEEPS} sweeps of one model at once`, () => {
  const byteLength = 256 * MIB;
  const path = writeDataFile(join(temporaryFolder(), "model.bin"), byteLength);

  test("finish, read each byte about once, and share their threads", looksAtPageCache, async () => {
    await evictAll(path);
    const child = await runScript("load", { path, byteLength, sweeps: SWEEPS });
    const { codes, threadsBefore, mostThreads, readBytes, residentBytes } =
      parseOutput<Load>(child);
    expect(codes).toEqual([null]);
    expect(mostThreads - threadsBefore).toBeLessThanOrEqual(MOST_THREADS);
    expect(mostThreads).toBeGreaterThan(threadsBefore);
    expect(residentBytes).toBeGreaterThan(mostOf(byteLength));
    expect(readBytes).toBeGreaterThan(0.9 * byteLength);
    expect(readBytes).toBeLessThan(1.15 * byteLength);
  });
});
