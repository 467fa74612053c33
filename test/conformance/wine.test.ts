import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { noWindows, type WindowsNode, windowsNode, windowsPath } from "../../scripts/wine.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
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
});
