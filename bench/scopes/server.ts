import type { Bench, Scope } from "../bench.ts";
import { whyNoServer } from "../engine/run-server.ts";
import type { Check, ScopeOutcome, Table } from "../result.ts";
import { compareServers, serverChecks } from "../server/compare.ts";
import { gpuChecks, halfOnGpu } from "../server/half-on-gpu.ts";
import { onUntunedDisk } from "../untuned.ts";

const NOTHING: ScopeOutcome = { tables: [], checks: [] };

export const server: Scope = {
  name: "server",
  compares:
    "A server over node-llama-cpp on the CPU, which reads its whole model at its start as llama-server does, " +
    "with a mixture of experts twice as large as its memory cgroup, on a disk that reads ahead 128 KiB: started " +
    "as it is, and by `prefault run --budget auto --profile`, with a profile counted from other prompts, and one that " +
    "`prefault record` wrote while they were answered; the same where the system allows no way to make room, and with `--lock`; and with `withPrefault` in " +
    "the server's own process. The request comes when all that is done before it is done.",
  wrongWhen: [
    "the model is not cold before the start (checked: residency must read 0)",
    "the model sends every token to the same experts (its routing is measured, and printed)",
    "the kernel pages out idle memory in between (the machine's facts say so)",
  ],
  run: comparing("routed", "server", 24),
};

export const serverUniform: Scope = {
  name: "server-uniform",
  compares:
    "The server of `server` with a model whose router chooses all experts alike, so that no profile foretells them: as " +
    "it is, and by `prefault run --budget auto --profile`.",
  wrongWhen: server.wrongWhen,
  run: comparing("uniform", "server-uniform", 24),
};

export const serverLong: Scope = {
  name: "server-long",
  compares:
    "The server of `server`, 200 tokens: as it is, by `prefault run --budget auto --profile`, and with `--lock`.",
  wrongWhen: server.wrongWhen,
  run: comparing("routed", "server-long", 200),
};

export const serverGpu: Scope = {
  name: "server-gpu",
  compares:
    "The server with 12 of 24 layers on a Vulkan device, on a disk that reads ahead 128 KiB, in a memory cgroup " +
    "that has room for those and for the file's other half, and not for the whole file: as it is, and by " +
    "`prefault run` and by `withPrefault`, which drop from the page cache what went to the device.",
  wrongWhen: [
    "the Vulkan device is a processor: then its buffers take the cgroup's memory, which a GPU's do not, and its share " +
      "of a token hides what is gained",
    "the model is not cold before the start (checked: residency must read 0)",
  ],
  run: (bench) =>
    withServer(
      bench,
      async (own) => halfOnGpu(own, await own.subjects.model(own.settings.bytes)),
      gpuChecks,
    ),
};

/** @param router of the model: skewed, or one that chooses all experts alike */
function comparing(router: "routed" | "uniform", id: string, tokens: number): Scope["run"] {
  return (bench) =>
    withServer(
      bench,
      async (own) => {
        const path = await own.subjects[router](own.settings.bytes);
        return compareServers(own, { id, path, tokens });
      },
      serverChecks,
    );
}

async function withServer(
  bench: Bench,
  compare: (own: Bench) => Promise<Table>,
  checks: (table: Table) => Check[],
): Promise<ScopeOutcome> {
  const missing = whyNoServer(bench.settings.engine);
  if (missing !== undefined) {
    bench.say(` no server: ${missing}`);
    return NOTHING;
  }
  const table = await onUntunedDisk(bench, compare);
  return table === null ? NOTHING : { tables: [table], checks: checks(table) };
}
