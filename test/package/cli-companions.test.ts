import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type BudgetModel, writeBudgetModel } from "../helpers/budget-model.ts";
import { ggufBytes, stringEntry, tensorInfo } from "../helpers/gguf-bytes.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { prefault } from "./cli-process.ts";

const MIB = 1024 ** 2;

interface RunDocument {
  readonly name: string;
  readonly plannedBytes: number;
  readonly leftOutBytes: number;
}

describe("--budget for a model and what is loaded beside it", () => {
  const folder = temporaryFolder();
  const mmproj = join(folder, "mmproj.gguf");
  let model: BudgetModel;

  beforeAll(async () => {
    model = await writeBudgetModel(join(folder, "model.gguf"));
    const tensors = [tensorInfo({ name: "v.a", shape: [BigInt(MIB / 4)] })];
    const entries = [stringEntry("general.type", "mmproj")];
    writeFileSync(mmproj, ggufBytes({ entries, tensors, dataBytes: MIB }));
  });

  async function chosen(command: string, args: readonly string[]) {
    const { stdout, stderr } = await prefault([command, "--json", ...args]);
    if (stdout === "") throw new Error(stderr);
    const { runs } = JSON.parse(stdout) as { readonly runs: readonly RunDocument[] };
    return runs
      .map(({ name, plannedBytes, leftOutBytes }) => ({ name, plannedBytes, leftOutBytes }))
      .sort((one, other) => one.plannedBytes - other.plannedBytes);
  }

  it.each([
    ["files", () => [mmproj, model.path]],
    ["a placement", () => [model.path, mmproj, "-ngl", "0"]],
    ["a pasted line", () => ["--", "llama-server", "-m", model.path, "--mmproj", mmproj]],
  ])("shows with plan what warm fills, of %s", async (_, operands) => {
    const args = ["--gate", "always", "--budget", "8M", ...operands()];
    const planned = await chosen("plan", args);
    expect(planned).toEqual(await chosen("warm", args));
    expect(planned).toMatchObject([
      { name: "core", leftOutBytes: 0 },
      { name: "core", leftOutBytes: 0 },
      { name: "experts" },
    ]);
    expect(planned[1]?.plannedBytes).toBeGreaterThanOrEqual(MIB);
    expect(planned[2]?.leftOutBytes).toBeGreaterThan(0);
  });

  it("says what has no room", async () => {
    const args = [model.path, mmproj, "--gate", "always", "--budget", "1M"];
    const planned = await prefault(["plan", ...args]);
    expect(planned.stdout).toMatch(/does not fit the budget\n.*1\.00 MiB/);
    const warmed = await prefault(["warm", ...args]);
    expect(warmed.stderr).toMatch(/\[mmproj\] Pre-fault skipped: 1\.00 MiB exceed/);
  });
});
