import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle } from "../bundle.ts";
import type { FillOutcome, FillTask } from "./fill-by-hand.ts";
import type { Holder } from "./run-server.ts";

/**
 * Fills by hand in a process of its own, see `fill-by-hand.ts`. What it locked stays locked until it
 * is released.
 *
 * @param cgroup `cgroup.procs` of the group that the pages are charged to
 */
export async function fillByHand(
  task: FillTask,
  cgroup?: string,
): Promise<Holder & { readonly outcome: FillOutcome }> {
  const script = await bundle("bench/engine/fill-by-hand.ts");
  const folder = mkdtempSync(join(tmpdir(), "prefault-fill-"));
  const file = join(folder, "task.json");
  // Too long for a command line.
  writeFileSync(file, JSON.stringify(task));
  const joined = 'if [ -n "$0" ]; then echo $$ > "$0"; fi; exec "$@"';
  const child = spawn("/bin/sh", ["-c", joined, cgroup ?? "", process.execPath, script, file], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  let text = "";
  for await (const output of child.stdout.setEncoding("utf8")) {
    text += output;
    if (text.includes("\n")) break;
  }
  rmSync(folder, { recursive: true, force: true });
  if (!text.includes("\n")) throw new Error("the filling process ended without a result");
  return {
    outcome: JSON.parse(text) as FillOutcome,
    async release() {
      child.stdin.end();
      await closed;
    },
  };
}
