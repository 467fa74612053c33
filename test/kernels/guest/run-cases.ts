import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { startCli } from "./cli.ts";
import type { GuestCase } from "./guest.ts";
import { disk, judgedBytes, MIB, makeCold, run, until } from "./system.ts";

const FIRST = { first: true, timeoutMs: 100_000 } as const;

/** As the entry point of a container: the first process, which ignores signals that it has no handler for. */
export const runCases: readonly GuestCase[] = [
  {
    name: "run as the first process warms, passes SIGTERM on once, and ends with the command's status",
    async run() {
      const path = join(disk("ext4"), "served.gguf");
      run("cp", "/app/model.gguf", path);
      makeCold(path);
      const got = "/tmp/got-signals";
      rmSync(got, { force: true });
      const server = 'trap "echo TERM >> $0; exit 7" TERM; : > $0; while :; do sleep 1; done';
      const running = startCli(["run", path, "--", "sh", "-c", server, got], FIRST);
      await until(() => existsSync(got), "the command was started");
      await until(() => judgedBytes(path) >= 15 * MIB, "the model was warmed");
      const first = childOf(running.child.pid ?? 0);
      assert.match(readFileSync(`/proc/${first}/status`, "utf8"), /^NSpid:\s+\d+\s+1$/m);
      process.kill(first, "SIGTERM");
      const { code, seconds, stderr } = await running.ended;
      assert.equal(code, 7, stderr);
      assert.equal(readFileSync(got, "utf8"), "TERM\n");
      return { code, seconds, stderr };
    },
  },
  {
    name: "run as the first process ends with 128 and the signal that ended the command",
    async run() {
      const { code } = await startCli(["run", "--", "sh", "-c", "kill -TERM $$"], FIRST).ended;
      assert.equal(code, 128 + 15);
    },
  },
];

/** The process that `unshare` has started. */
function childOf(pid: number): number {
  const parentOf = (each: string) => {
    try {
      const stat = readFileSync(join("/proc", each, "stat"), "utf8");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    } catch {
      return Number.NaN;
    }
  };
  const found = readdirSync("/proc").find((each) => /^\d+$/.test(each) && parentOf(each) === pid);
  assert.ok(found !== undefined, `no child of ${pid}`);
  return Number(found);
}
