#!/usr/bin/env node
import { SPOKEN_FIRST } from "./words.ts";

// `prefault plan FILE | head` ends early, which is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

const given = process.argv.slice(2);
const first = given.findIndex((word) => !SPOKEN_FIRST.has(word));
// Each command loads what it needs: the command of `prefault run` is started before anything else.
if (given[first] === "run") {
  const { run } = await import("./run/main.ts");
  await run(given.filter((_, index) => index !== first));
} else {
  const { main } = await import("./program.ts");
  await main(given);
}
