import { closeSync, ftruncateSync, openSync } from "node:fs";
import { join } from "node:path";
import { evict } from "prefault";
import { describe, expect, test } from "vitest";
import { makeMemoryCgroup } from "../helpers/memory-cgroup.ts";
import { parseOutput } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { runScript } from "./run-script.ts";

const MIB = 1024 ** 2;

interface Ended {
  readonly ran: boolean;
  readonly reason: string;
  readonly code: string | null;
  readonly message: string | null;
  readonly bytes: number;
  readonly bytesDone: number;
  readonly mostOwnBytes: number;
}

describe.skipIf(process.platform !== "linux")("on a machine with", () => {
  const folder = temporaryFolder();

  /** A file of holes takes no disk space, and its pages fill the page cache like those of other files. */
  function sparseFile(byteLength: number): string {
    const path = join(folder, `${byteLength}`);
    const fd = openSync(path, "w");
    ftruncateSync(fd, byteLength);
    closeSync(fd);
    return path;
  }

  describe.each([256, 1024])("%i MiB and a model four times as large", (mib) => {
    const limitBytes = mib * MIB;
    const path = sparseFile(4 * limitBytes);

    async function sweep(
      options: object,
      env: Record<string, string>,
      skip: (why: string) => never,
    ): Promise<Ended> {
      // What is cached already is another group's, and costs this one nothing.
      await evict([{ path }]);
      const cgroup = makeMemoryCgroup(limitBytes);
      if (typeof cgroup === "string") return skip(cgroup);
      try {
        const { folder: group } = cgroup;
        const child = await runScript("small-machine", { path, options }, { cgroup: group, env });
        return parseOutput<Ended>(child);
      } finally {
        await cgroup.remove();
      }
    }

    test.for(["fits-in-ram", "fits-in-free-ram"] as const)(
      "%s skips, and says why",
      async (gate, { skip }) => {
        const { ran, reason, bytesDone } = await sweep({ gate }, {}, skip);
        expect(ran).toBe(false);
        expect(reason).toMatch(
          new RegExp(`^skipped: ${(4 * mib) / 1024}\\.00 GiB exceeds 80% of \\d\\.\\d\\d GiB RAM`),
        );
        expect(bytesDone).toBe(0);
      },
    );

    test.for(["populate", "touch", "read"] as const)(
      "forced with strategy %s is not killed, and stops at the limit, with what it has",
      async (strategy, { skip }) => {
        const ended = await sweep({ strategy }, { SHARPI_PREFAULT: "1" }, skip);
        expect(ended).toMatchObject({ ran: true, code: "PREFAULT_OUT_OF_MEMORY" });
        expect(ended.message).toMatch(
          new RegExp(`^memory ran short: the cgroup uses \\d+ MiB of memory\\S+ ${mib} MiB$`),
        );
        // And what the workers were at.
        expect(ended.bytesDone).toBeLessThan(1.25 * limitBytes);
        expect(ended.bytesDone).toBeGreaterThan(0.5 * limitBytes);
        expect(ended.mostOwnBytes).toBeLessThan(160 * MIB);
      },
    );

    test("the gate always leaves it to the sweep to notice", async ({ skip }) => {
      const ended = await sweep({ gate: "always", onError: "continue" }, {}, skip);
      expect(ended).toMatchObject({ ran: true, code: "PREFAULT_OUT_OF_MEMORY" });
      expect(ended.bytesDone).toBeLessThan(1.25 * limitBytes);
    });
  });
});
