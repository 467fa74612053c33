import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Run } from "../../conformance/runner.ts";
import { type GuestCase, onlyOnSome } from "./guest.ts";
import { disk } from "./system.ts";

const PACKAGE = "/app/node_modules/prefault/dist/index.js";

const SUITES = [
  { title: "the shim", fileSystem: "ext4", args: ["shim"] },
  { title: "the shim", fileSystem: "xfs", args: ["shim"] },
  { title: "the package", fileSystem: "ext4", args: ["package", "linux", PACKAGE] },
] as const;

/** The conformance suites that every system has to pass. */
export const conformanceCases: readonly GuestCase[] = SUITES.map(({ title, fileSystem, args }) => ({
  name: `${title} conforms on ${fileSystem}`,
  seconds: 180,
  async run({ kernel }) {
    if (args[0] === "package") onlyOnSome(kernel);
    const folder = join(disk(fileSystem), `conformance-${args[0]}`);
    mkdirSync(folder);
    const outcomes = join("/tmp", `${fileSystem}-${args[0]}.json`);
    await promisify(execFile)("node", ["/app/conformance/runner.mjs", outcomes, folder, ...args]);
    const run: Run = JSON.parse(readFileSync(outcomes, "utf8"));
    const failed = run.outcomes.filter(({ failure }) => failure !== undefined);
    assert.ok(run.outcomes.length > 0);
    assert.deepEqual(failed, []);
    assert.deepEqual(run.warnings, []);
    return { cases: run.outcomes.length };
  },
}));
