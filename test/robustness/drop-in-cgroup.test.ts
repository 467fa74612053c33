import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { makeMemoryCgroup } from "../helpers/memory-cgroup.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf, TOLERANCE } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { runScript } from "./run-script.ts";

const MIB = 1024 ** 2;
const MODEL_BYTES = 512 * MIB;

/** For the process itself. */
const PROGRAM_BYTES = 192 * MIB;

interface Seen {
  readonly log: readonly string[];
  readonly ran: boolean;
  readonly reason: string;
  /** Shares that are resident. */
  readonly onCpu: number;
  readonly onGpu: number;
}

describe.skipIf(process.platform !== "linux")("withPrefault, with half of a model on a GPU", () => {
  const path = join(temporaryFolder(), "half.gguf");

  beforeAll(async () => {
    await writeSyntheticModel({ kind: "dense", path, layers: 16, targetBytes: MODEL_BYTES });
  }, 120_000);

  async function load(
    argument: { gpuLayers: number | "auto"; useMmap: boolean; isAsked?: boolean },
    limitShare: number,
    skip: (why: string) => never,
  ): Promise<Seen> {
    // What is cached already is another group's, and costs this one nothing.
    await evictAll(path);
    const cgroup = makeMemoryCgroup(Math.floor(limitShare * MODEL_BYTES) + PROGRAM_BYTES);
    if (typeof cgroup === "string") return skip(cgroup);
    try {
      const given = { path, loadedLayers: 8, ...argument };
      const child = await runScript("load-half", given, { cgroup: cgroup.folder });
      expect(child).toMatchObject({ code: 0, signal: null, stderr: "" });
      return JSON.parse(child.stdout) as Seen;
    } finally {
      await cgroup.remove();
    }
  }

  const DROPPED = /\d{3}\.\d MiB that are on the GPU were dropped from the page cache/;

  test.for([8, "auto"] as const)(
    "drops it after the load where the rest does not fit beside it: gpuLayers %s",
    looksAtPageCache,
    async (gpuLayers, { skip }) => {
      const seen = await load({ gpuLayers, useMmap: true }, 0.8, skip);
      expect(seen.log.join("\n")).toMatch(DROPPED);
      expect(seen.ran).toBe(true);
      expect(seen.onGpu).toBeLessThan(TOLERANCE);
      expect(seen.onCpu).toBeGreaterThan(mostOf(1));
    },
  );

  test("leaves it where all fits", looksAtPageCache, async ({ skip }) => {
    const seen = await load({ gpuLayers: 8, useMmap: true }, 2, skip);
    expect(seen.log.join("\n")).not.toMatch(DROPPED);
    expect(seen.onGpu).toBeGreaterThan(mostOf(1));
    expect(seen.onCpu).toBeGreaterThan(mostOf(1));
  });

  test("fills it beside a load that is to make a copy", async ({ skip }) => {
    const seen = await load({ gpuLayers: 8, useMmap: false, isAsked: true }, 0.8, skip);
    expect(seen.ran).toBe(true);
    expect(seen.log.join("\n")).not.toMatch(DROPPED);
  });

  test("fills nothing of a file that the load has copied", async ({ skip }) => {
    const seen = await load({ gpuLayers: "auto", useMmap: false }, 0.8, skip);
    expect(seen).toMatchObject({ ran: false, reason: "skipped: the load made a copy" });
  });
});
