import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { NOBODY, whyNotAsNobody } from "../helpers/another-user.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { freePort } from "../helpers/fake-server.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { prefault } from "./cli-process.ts";

describe.skipIf(process.platform !== "linux")("prefault keep fails with one sentence for", () => {
  const file = writeDataFile(join(temporaryFolder(), "data"), 4096);

  const expectFailure = async (args: readonly string[], code: number, say: RegExp) => {
    const ended = await prefault(["keep", ...args], { timeoutMs: 30_000 });
    expect(ended).toMatchObject({ code, stdout: "" });
    expect(ended.stderr).toMatch(/^prefault: [^\n]+\n$/);
    expect(ended.stderr).toMatch(say);
    const json = await prefault(["keep", ...args, "--json"], { timeoutMs: 30_000 });
    expect(json.code).toBe(code);
    expect(JSON.parse(json.stdout).error.code).toMatch(/^PREFAULT_/);
  };

  it.each<[string, readonly string[], number, RegExp]>([
    ["no file", [], 2, /no file given/],
    ["a file that is not there", ["absent.gguf"], 1, /no such file/],
    ["a bad address", ["x", "--listen", "256.1.1.1:9100"], 2, /--listen.*a port/],
    ["a bad number of a process", ["--pid", "me"], 2, /--pid.*number of a process/],
    ["a bad time", ["x", "--every", "often"], 2, /--every.*a time/],
    ["no such process", ["--pid", "4194304"], 1, /there is no process 4194304/],
    ["a process without a model", ["--pid", String(process.pid)], 1, /has mapped no model/],
  ])("%s", async (_, args, code, say) => {
    await expectFailure(args, code, say);
  });

  it("an address that is in use", async () => {
    const other = createServer();
    onTestFinished(() => void other.close());
    const port = await freePort();
    await new Promise<void>((resolve) => other.listen(port, "127.0.0.1", resolve));
    await expectFailure([file, "--listen", String(port)], 1, /the address is in use/);
  });

  it("another user's process", async ({ skip }) => {
    const why = await whyNotAsNobody();
    if (why !== undefined) skip(why);
    const options = { uid: NOBODY, timeoutMs: 30_000 };
    const args = ["--pid", String(process.pid)];
    for (const command of ["keep", "status"]) {
      const ended = await prefault([command, ...args], options);
      expect(ended).toMatchObject({ code: 1, stdout: "" });
      expect(ended.stderr).toMatch(/^prefault: process \d+ may not be looked at: .*its own user/);
    }
  });
});
