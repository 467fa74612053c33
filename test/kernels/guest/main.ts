/** Runs the cases inside the guest, and writes a line for each. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { casesLike } from "./cases.ts";
import { type Guest, type GuestCase, Skip } from "./guest.ts";
import { MARK, type Message } from "./message.ts";

const DEFAULT_SECONDS = 120;

const kernel = JSON.parse(readFileSync("/app/kernel.json", "utf8"));
const guest: Guest = { kernel, prefault: await import("prefault") };

const [, pattern = ""] = /\bcases=(\S+)/.exec(readFileSync("/proc/cmdline", "utf8")) ?? [];
for (const each of casesLike(pattern)) {
  const started = performance.now();
  const result = await outcome(each);
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const message: Message = { case: each.name, seconds, ...result };
  // A line of its own, whatever the kernel has written before.
  process.stdout.write(`\n${MARK}${JSON.stringify(message)}\n`);
}
process.exit(0);

async function outcome({ run, seconds = DEFAULT_SECONDS }: GuestCase) {
  const done = new AbortController();
  const over = sleep(seconds * 1000, undefined, done).then(
    () => Promise.reject(new Error(`it took more than ${seconds} s`)),
    () => undefined,
  );
  try {
    return { ok: true, detail: await Promise.race([run(guest), over]) };
  } catch (error) {
    if (error instanceof Skip) return { ok: true, skipped: error.message };
    return { ok: false, detail: error instanceof Error ? error.stack : String(error) };
  } finally {
    done.abort();
  }
}
