/** The process beside the command of `prefault run` that warms. */
import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { asPrefaultError } from "../../errors.ts";
import { warmBeside } from "../../server/session.ts";
import { printable } from "../text.ts";
import { planRun, serverOptions } from "./plan-run.ts";
import { PASSED_ON } from "./signals.ts";
import type { FromWarming, ToWarming, WarmingTask } from "./warming-process.ts";

/** Lower than the command's: its threads wait for one another, and one that waits for a processor holds up all. */
const PRIORITY = 10;

/** What is locked counts as this process's memory. Where memory runs out, it is given up first. */
const OOM_SCORE = "500";

let close: () => Promise<void> = async () => {};

// The command decides what a signal means; the parent asks whether this process got it as well.
for (const signal of PASSED_ON) {
  process.on(signal, () => process.send?.({ signal } satisfies FromWarming));
}
process.on("message", (message: ToWarming) => {
  if ("task" in message) warm(message.task);
  else end();
});
process.once("disconnect", end);

function warm({ pid, files, flags, line }: WarmingTask): void {
  quietly(() => setPriority(PRIORITY));
  quietly(() => writeFileSync("/proc/self/oom_score_adj", OOM_SCORE));
  const log = (text: string) => {
    if (flags.quiet !== true) process.stderr.write(`${printable(text)}\n`);
  };
  serverOptions(flags)
    .then((options) => {
      const plan = (signal: AbortSignal) => planRun({ files, flags, line }, signal);
      const session = warmBeside({ pid, plan }, { ...options, log });
      close = session.close;
      return session.report;
    })
    .then(({ notes }) => {
      for (const note of notes) log(`prefault: ${note}`);
    })
    .catch((error: unknown) => log(`prefault: ${asPrefaultError(error).message}`));
}

async function end(): Promise<void> {
  await close();
  process.exit();
}

function quietly(attempt: () => void): void {
  try {
    attempt();
  } catch {
    // Only a nicety, and not every system has it.
  }
}
