import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { makeMemoryCgroup } from "../helpers/memory-cgroup.ts";
import { parseOutput, runChild } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;
const folder = temporaryFolder();

describe("a process that only prefaults", () => {
  const path = join(folder, "small.bin");
  beforeAll(() => void writeDataFile(path, 8 * MIB));

  test("exits by itself, and logs to stderr only", async () => {
    const child = await runChild(
      `import { prefault } from "prefault"; await prefault(process.argv[1]);`,
      [path],
      { env: { SHARPI_PREFAULT: "" } },
    );
    expect(child).toMatchObject({ code: 0, signal: null, stdout: "" });
    expect(child.stderr).toMatch(/^\[prefault\] Pre-faulted 0\.01 GiB .*\.\n$/);
  });

  test("exits by itself after an abort", async () => {
    const child = await runChild(
      `import { prefault } from "prefault";
       const controller = new AbortController();
       setTimeout(() => controller.abort(), 30);
       await prefault(process.argv[1], { signal: controller.signal, log() {} });`,
      [path],
    );
    expect(child).toMatchObject({ code: 0, signal: null, stderr: "" });
  });

  test("exits by itself after a failure", async () => {
    const child = await runChild(
      `import { prefault } from "prefault"; await prefault("/absent", { log() {} });`,
    );
    expect(child).toMatchObject({ code: 0, signal: null, stderr: "" });
  });

  test("can import the package without starting anything", async () => {
    const child = await runChild(`import "prefault";`);
    expect(child).toMatchObject({ code: 0, signal: null, stdout: "", stderr: "" });
  });
});

describe.skipIf(process.platform !== "linux")("in a memory cgroup smaller than the file", () => {
  const path = join(folder, "large.bin");
  beforeAll(() => void writeDataFile(path, 400 * MIB));
  const script = `
    import { prefault } from "prefault";
    const lines = [];
    const { ran, reason, bytes, error } = await prefault(process.argv[1], {
      gate: process.argv[2],
      log: (line) => lines.push(line),
    });
    console.log(JSON.stringify({ ran, reason, bytes, error: error?.message, lines }));
  `;

  async function runIn(gate: string, mode: string, skip: (why: string) => void) {
    const cgroup = makeMemoryCgroup(256 * MIB);
    if (typeof cgroup === "string") {
      skip(cgroup);
      throw new Error(cgroup);
    }
    try {
      const child = await runChild(script, [path, gate], {
        cgroup: cgroup.folder,
        env: { SHARPI_PREFAULT: mode },
      });
      expect(child).toMatchObject({ code: 0, signal: null });
      return parseOutput<{ ran: boolean; reason: string; lines: string[] }>(child);
    } finally {
      await cgroup.remove();
    }
  }

  test("fits-in-ram skips, and says why", async ({ skip }) => {
    const reason = "skipped: 0.39 GiB exceeds 80% of 0.25 GiB RAM";
    expect(await runIn("fits-in-ram", "", skip)).toEqual({
      ran: false,
      reason,
      bytes: 400 * MIB,
      lines: [`[prefault] Pre-fault ${reason}.`],
    });
  });

  test("fits-in-free-ram skips, and says why", async ({ skip }) => {
    const { ran, reason } = await runIn("fits-in-free-ram", "", skip);
    expect(ran).toBe(false);
    expect(reason).toMatch(/^skipped: 0\.39 GiB exceeds 80% of 0\.\d\d GiB RAM available now$/);
  });

  test("forced runs, and is not killed for it", async ({ skip }) => {
    expect(await runIn("fits-in-ram", "1", skip)).toMatchObject({
      ran: true,
      reason: "forced (SHARPI_PREFAULT=1)",
    });
  });
});
