import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { runProcess } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { bundleRunner, installPackage, linkDependencies } from "./installation.ts";
import { packageSuite } from "./package-suite.ts";
import type { Run } from "./runner.ts";

const ways = [
  { title: "with koffi", shim: "linux", missing: [], warnings: [] },
  {
    title: "without koffi",
    shim: "portable",
    missing: ["koffi"],
    warnings: ["PREFAULT_NO_NATIVE"],
  },
];

describe.each(ways)("the package installed $title", ({ shim, missing, warnings }) => {
  const folder = temporaryFolder();
  let run: Run;
  let stderr: string;

  beforeAll(async () => {
    const modules = join(folder, "node_modules");
    const path = installPackage(modules);
    linkDependencies(modules, missing);
    const runner = await bundleRunner(folder);
    const [outcomes, files] = [join(folder, "outcomes.json"), join(folder, "files")];
    mkdirSync(files);
    const command = [process.execPath, runner, outcomes, files, "package", shim, path];
    ({ stderr } = await runProcess(command));
    run = JSON.parse(readFileSync(outcomes, "utf8"));
  });

  test("runs them all, and warns as often as it should: once, or never", () => {
    expect(run.outcomes).toHaveLength(packageSuite.length);
    expect(run.warnings).toEqual(warnings);
    expect(stderr.match(/PREFAULT_NO_NATIVE/g) ?? []).toEqual(warnings);
  });

  test.each(packageSuite)("$name", ({ name }) => {
    const outcome = run.outcomes.find((each) => each.name === name);
    expect(outcome).toBeDefined();
    expect(outcome?.failure).toBeUndefined();
  });
});
