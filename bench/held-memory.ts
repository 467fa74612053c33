import { spawn } from "node:child_process";
import { once } from "node:events";
import { freemem } from "node:os";
import type { Tools } from "./compile.ts";

/**
 * Holds all memory but so much, until this process ends. A hypervisor that takes back free pages
 * gives each of them anew when it is next used, which costs a fill as much as the device does, or
 * nothing, as it happens. With little memory free, what an eviction frees is what the next fill gets.
 *
 * @throws Error when the memory cannot be had
 */
export async function leaveFree(bytes: number, tools: Tools): Promise<void> {
  if (tools.missing !== undefined) throw new Error(tools.missing);
  const surplus = freemem() - bytes;
  if (surplus <= 0) return;
  const holder = spawn(tools.path("hold-memory"), [String(surplus)]);
  process.once("exit", () => holder.kill("SIGKILL"));
  const ended = once(holder, "exit").then(([code]) => {
    throw new Error(`${surplus} bytes of memory cannot be held (${code})`);
  });
  await Promise.race([once(holder.stdout, "data"), ended]);
  holder.unref();
  holder.stdin.destroy();
  holder.stdout.destroy();
  holder.stderr.destroy();
}
