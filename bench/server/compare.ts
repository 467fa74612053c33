import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import { openModel } from "../../src/model/open-model.ts";
import type { Bench } from "../bench.ts";
import { countedProfile, writeJsonProfile } from "../engine/profile.ts";
import { measureRouting, OTHER_PROMPTS } from "../engine/routing-of-model.ts";
import { runServer, type ServerRun } from "../engine/run-server.ts";
import { CLI } from "../process.ts";
import { type Check, type Column, medianOf, ratio, type Table } from "../result.ts";
import { interleave } from "../rounds.ts";
import { isWarm } from "./is-warm.ts";

const PLAIN = "the server as it is";
const ALL = "the same, with memory for all of the model";
const RUN = "prefault run";
const RECORDED = "prefault run, with what prefault record saw";
const NO_ROOM = "prefault run, where no room can be made";
const LOCK = "prefault run --lock";
const WITH = "withPrefault in the server";

const COLUMNS: readonly Column[] = [
  { key: "toFirst", title: "request to first token, s" },
  { key: "to24", title: "to the 24th, s" },
  { key: "startToFirst", title: "start to first token, s" },
  { key: "warming", title: "healthy to warm, s" },
  { key: "readGib", title: "read during the request, GiB" },
];

const LONG_COLUMNS: readonly Column[] = [
  { key: "laterRate", title: "tokens a second, the last 150" },
  { key: "toFirst", title: "request to first token, s" },
  { key: "readGib", title: "read during the request, GiB" },
];

/** What the profile is counted from: so many tokens after each of four other prompts. */
const PROFILED_TOKENS = 60;
/** Eight tokens of a tokenizer of bytes: a long prompt uses nearly every expert once, whatever is warm. */
const PROMPT = "a page";
const GIB = 1024 ** 3;

/** The context of this server takes less than the default. */
const RESERVE_BYTES = 64 * 1024 ** 2;

const LONG_ROUNDS = 2;

/** A model, and how much of it is generated. */
export interface Comparison {
  readonly id: string;
  readonly path: string;
  readonly tokens: number;
}

/** The server in a memory cgroup of half its model, after each way of warming. */
export async function compareServers(bench: Bench, comparison: Comparison): Promise<Table> {
  const { subjects, settings, say } = bench;
  const { id, path, tokens } = comparison;
  const { engine } = settings;
  const profile = join(subjects.folder, `${id}.profile.json`);
  const { routing, profile: counted } = await measureRouting(path, engine, PROFILED_TOKENS);
  const share = (of: number) => `${Math.round(100 * of)} %`;
  say(
    ` ${id}: a quarter of the experts gets ${share(routing.topQuarter)} of the selections, ` +
      `${share(routing.topQuarterForeseen)} as other prompts foretell it; ${share(routing.reuse)} were used by the token before`,
  );
  const model = await openModel(path);
  writeJsonProfile(profile, countedProfile(model, counted.weights, counted.samples));

  const launch = (by: string) => {
    const flags = ["--budget", "auto", "--profile", by, "-ngl", "0"];
    return [process.execPath, CLI, "run", ...flags];
  };
  const launcher = launch(profile);
  const isUniform = id.endsWith("uniform");
  const isLong = tokens > 24;
  // What takes minutes a round is measured only as far as claims go.
  const few = isUniform ? [PLAIN, RUN] : isLong ? [PLAIN, RUN, LOCK] : null;
  const bytes = statSync(path).size;
  const halfBytes = Math.floor(bytes / 2);
  const recorded = join(subjects.folder, `${id}.recorded.json`);
  if (few === null) {
    say("  recording a profile while the server answers other prompts");
    await recordProfile(bench, { model: path, engine, limitBytes: halfBytes }, recorded);
  }
  const ways: { name: string; more: Partial<ServerRun> }[] = [
    { name: PLAIN, more: {} },
    { name: ALL, more: { limitBytes: 2 * bytes } },
    {
      name: RUN,
      more: { launcher: [...launcher, "--"], whenHealthy: isWarm(FILLED) },
    },
    {
      name: RECORDED,
      more: { launcher: [...launch(recorded), "--"], whenHealthy: isWarm(FILLED) },
    },
    {
      name: NO_ROOM,
      more: { launcher: [...WITHOUT_RIGHTS, ...launcher, "--"], whenHealthy: isWarm(FILLED) },
    },
    {
      name: LOCK,
      more: { launcher: [...launcher, "--lock", "--"], whenHealthy: isWarm(/are locked/) },
    },
    {
      name: WITH,
      more: {
        env: {
          BENCH_WITH_PREFAULT: JSON.stringify({
            budget: "auto",
            profile,
            reserveBytes: RESERVE_BYTES,
          }),
        },
        whenHealthy: isWarm(/\[node-llama-cpp\] /),
      },
    },
  ];
  const rows = await interleave(
    ways
      .filter(({ name }) => (few ?? [name]).includes(name))
      .map(({ name, more }) => ({
        name,
        async run() {
          const ran = await runServer(subjects, {
            model: path,
            engine,
            limitBytes: halfBytes,
            request: { prompt: PROMPT, tokens },
            ...more,
          });
          const rates = ran.rates.slice(2);
          return {
            toFirst: ran.toFirstToken,
            to24: ran.to24th,
            startToFirst: ran.startToFirstToken,
            warming: ran.whenHealthy,
            readGib: ran.readBytes.request / GIB,
            ...(rates.length > 0 && { laterRate: harmonicMean(rates) }),
          };
        },
      })),
    isLong ? Math.min(settings.rounds, LONG_ROUNDS) : settings.rounds,
    say,
  );
  return {
    id,
    title: `${tokens} tokens, ${isUniform ? "all experts alike" : "a skewed router"}`,
    columns: isLong ? LONG_COLUMNS : COLUMNS,
    rows,
    moreIsBetter: isLong,
  };
}

/** `prefault record` beside the plain server, while that answers other prompts. */
async function recordProfile(
  { subjects }: Bench,
  { model, ...server }: Pick<ServerRun, "model" | "engine" | "limitBytes">,
  profile: string,
): Promise<void> {
  const [first = "", ...others] = OTHER_PROMPTS;
  await runServer(subjects, {
    ...server,
    model,
    request: { prompt: first, tokens: PROFILED_TOKENS },
    async whenHealthy(healthy) {
      // What lies in memory after the start is the end of the file. The first answers push that out.
      for (const prompt of others) await healthy.complete({ prompt, tokens: PROFILED_TOKENS });
      const args = [CLI, "record", model, "--every", "2s", "--output", profile];
      const record = spawn(process.execPath, args, { stdio: "ignore" });
      for (const prompt of others) await healthy.complete({ prompt, tokens: PROFILED_TOKENS });
      record.kill("SIGINT");
      const [code] = await once(record, "close");
      if (code !== 0 && code !== 130) throw new Error(`prefault record ended with ${code}`);
      return undefined;
    },
  });
}

/** What `prefault run` says at the end of a fill; the second where the budget is below one token's cycle. */
const FILLED = /experts\] |only the core is filled/;

/** Neither CAP_SYS_NICE nor CAP_IPC_LOCK, as for most users. */
const WITHOUT_RIGHTS = ["setpriv", "--bounding-set", "-sys_nice,-ipc_lock"];

function harmonicMean(values: readonly number[]): number {
  return values.length / values.reduce((sum, value) => sum + 1 / value, 0);
}

export function serverChecks({ id, rows }: Table): Check[] {
  const of = (name: string, key: string) =>
    ratio(medianOf(rows, name, key), medianOf(rows, PLAIN, key));
  if (id === "server-uniform") {
    const what = "with all experts alike, of the plain server's";
    return [
      { what: `request to first token, run, ${what}`, value: of(RUN, "toFirst"), atMost: 1 },
      { what: `24 tokens, run, ${what}`, value: of(RUN, "to24"), atMost: 1 },
    ];
  }
  if (id === "server-long") {
    return [
      {
        what: "tokens a second with --lock, of the plain server's",
        value: of(LOCK, "laterRate"),
        atLeast: 1.4,
      },
      {
        what: "bytes read with --lock, of the plain server's",
        value: of(LOCK, "readGib"),
        atMost: 0.5,
      },
    ];
  }
  const limits: [string, number, number][] = [
    [RUN, 0.45, 0.7],
    [RECORDED, 0.45, 0.7],
    [NO_ROOM, 0.85, 0.9],
    [LOCK, 0.45, 0.7],
    [WITH, 0.45, 0.7],
  ];
  return limits.flatMap(([name, first, all]) => [
    {
      what: `request to first token, ${name}, of the plain server's`,
      value: of(name, "toFirst"),
      atMost: first,
    },
    { what: `24 tokens, ${name}, of the plain server's`, value: of(name, "to24"), atMost: all },
  ]);
}
