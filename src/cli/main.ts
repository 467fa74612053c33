#!/usr/bin/env node
import { catchInterrupts } from "./interrupt.ts";
import { runProgram } from "./program.ts";

// `prefault plan FILE | head` ends early, which is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

const interrupts = catchInterrupts();
process.exitCode = await runProgram(process.argv.slice(2), interrupts);
interrupts.release();
// A look at the page cache cannot be called off, and a worker may wait for its device: what was
// interrupted does not wait for either. Output to a pipe may still be under way.
if (interrupts.signal.aborted) process.stdout.write("", () => process.exit());
