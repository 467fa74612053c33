import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeSyntheticModel } from "../../models/synthetic-model.ts";
import { inCgroup } from "./cgroup.ts";
import { startCli } from "./cli.ts";
import { type GuestCase, onlyOnSome } from "./guest.ts";
import { disk, judgedBytes, MIB, makeCold, until } from "./system.ts";

const MODEL_BYTES = 384 * MIB;
const LIMIT_BYTES = 320 * MIB;

const BUDGETS = [
  { title: "a budget by number", flags: ["--budget", "128M"] },
  { title: "a budget of auto", flags: ["--budget", "auto", "--reserve", "32M"] },
] as const;

/** A model that is larger than the group's limit, of which a budget has room for a part. */
export const budgetCases: readonly GuestCase[] = BUDGETS.map(({ title, flags }) => ({
  name: `${title} in a cgroup is never exceeded, and nobody is killed`,
  seconds: 180,
  run: ({ kernel }) => {
    onlyOnSome(kernel);
    return inCgroup([{ max: LIMIT_BYTES }], async (group) => {
      const path = await hollowModel();
      makeCold(path);
      const args = ["warm", path, "--cpu-moe", "-ngl", "99", ...flags, "--json", "--no-progress"];
      const warming = startCli(args, { cgroup: group.folder, timeoutMs: 150_000 });
      let most = 0;
      const look = () => {
        most = Math.max(most, judgedBytes(path));
        return warming.child.exitCode !== null || warming.child.signalCode !== null;
      };
      await until(look, "it ended", 160_000);
      const { code, signal, stdout, stderr } = await warming.ended;
      assert.deepEqual([code, signal], [0, null], stderr);
      const { budgetBytes, error } = JSON.parse(stdout);
      const resident = judgedBytes(path);
      const events = group.read("memory.events").trim().replaceAll("\n", " ");
      const seen = { budgetBytes, most, resident, error, events };
      assert.equal(error, undefined, JSON.stringify(seen));
      assert.ok(budgetBytes > 0 && budgetBytes < LIMIT_BYTES, JSON.stringify(seen));
      assert.ok(most <= budgetBytes && resident >= 0.9 * budgetBytes, JSON.stringify(seen));
      assert.match(events, /oom_kill 0/);
      return seen;
    });
  },
}));

/** All its tensors are there, and their bytes are holes. */
async function hollowModel(): Promise<string> {
  const path = join(disk("ext4"), "hollow.gguf");
  if (!existsSync(path)) {
    await writeSyntheticModel({
      ...{ kind: "moe", layers: 8, experts: 32 },
      ...{ path, targetBytes: MODEL_BYTES, contents: "hole" },
    });
  }
  return path;
}
