import type { Bench, Scope } from "../bench.ts";
import { whyNoServer } from "../engine/run-server.ts";
import { compareServers, serverChecks } from "../server/compare.ts";
import { onUntunedDisk } from "../untuned.ts";

export const server: Scope = {
  name: "server",
  compares:
    "A server over node-llama-cpp on the CPU, which reads its whole model at its start as llama-server does, " +
    "with a mixture of experts twice as large as its memory cgroup, on a disk that reads ahead 128 KiB: started " +
    "as it is, and by `prefault run --budget auto --profile`, with a profile counted from other prompts; the " +
    "same where the system allows no way to make room, and with `--lock`; and with `withPrefault` in " +
    "the server's own process. The request comes when all that is done before it is done. " +
    "24 tokens, then 200, then 24 of a model whose router chooses all experts alike.",
  wrongWhen: [
    "the model is not cold before the start (checked: residency must read 0)",
    "the model sends every token to the same experts (its routing is measured, and printed)",
    "the kernel pages out idle memory in between (the machine's facts say so)",
  ],
  async run(bench) {
    const missing = whyNoServer(bench.settings.engine);
    if (missing !== undefined) {
      bench.say(` no server: ${missing}`);
      return { tables: [], checks: [] };
    }
    return (await onUntunedDisk(bench, compareAll, 2)) ?? { tables: [], checks: [] };
  },
};

async function compareAll(bench: Bench) {
  const { subjects, settings } = bench;
  const skewed = await subjects.routed(settings.bytes);
  const uniform = await subjects.uniform(settings.bytes);
  const tables = [
    await compareServers(bench, { id: "server", path: skewed, tokens: 24 }),
    await compareServers(bench, { id: "server-long", path: skewed, tokens: 200 }),
    await compareServers(bench, { id: "server-uniform", path: uniform, tokens: 24 }),
  ];
  return { tables, checks: tables.flatMap(serverChecks) };
}
