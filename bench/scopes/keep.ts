import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { readBytesOf } from "../../src/beside/activity.ts";
import { processStat } from "../../src/hold/process-stat.ts";
import type { Bench, Scope } from "../bench.ts";
import { bundle } from "../bundle.ts";
import type { IdleEngineTask } from "../children/idle-engine.ts";
import { CLI, runProgram } from "../process.ts";
import type { Column, Row, Sample } from "../result.ts";

const LOOK_MS = 10_000;

const RESIDENT: readonly Column[] = [{ key: "resident", title: "resident, %", digits: 1 }];

const COSTS: readonly Column[] = [
  { key: "processor", title: "of one processor, %", digits: 3 },
  { key: "memory", title: "more memory than an empty Node, MiB", digits: 1 },
  { key: "read", title: "read from the device, MiB", digits: 0 },
  { key: "refills", title: "filled again, times", digits: 0 },
  { key: "postponed", title: "postponed, times", digits: 0 },
];

const LOCKED = "prefault keep --lock";

/** A file that an idle engine has mapped, and who looks after it. */
interface Kept {
  readonly name: string;
  readonly path: string;
  readonly engine: ChildProcess;
  readonly keeper: ChildProcess | undefined;
  /** When the file was first filled. */
  readonly began: Usage | undefined;
}

/** What a process has used so far. */
interface Usage {
  readonly seconds: number;
  readonly readBytes: number;
}

export const keep: Scope = {
  name: "keep",
  compares:
    "Three models of the same size, each mapped by a process that does nothing with it, as an engine that nobody " +
    "asks anything. Each is filled once. Then one is left alone, one is looked after by `prefault keep --pid`, and " +
    "one by `prefault keep --pid --lock`.",
  wrongWhen: [
    "the kernel does not page out idle memory, and nothing else needs memory: then nothing goes missing (the " +
      "machine's facts say whether it does)",
    "something else waits for memory most of the time: then filling again is postponed",
  ],
  async run(bench) {
    const { settings, say } = bench;
    const kept: Kept[] = [];
    try {
      kept.push(await start(bench, "left alone", null));
      kept.push(await start(bench, "prefault keep", []));
      kept.push(await start(bench, LOCKED, ["--lock"]));
      const emptyMib = await memoryOfEmptyNode();
      const rows = kept.map(({ name }) => ({ name, samples: [] as Sample[] }));
      const memory = new Map<string, number>();
      const started = performance.now();
      const minutes = () => (performance.now() - started) / 60_000;
      while (minutes() < settings.minutes) {
        for (const [index, { name, path, keeper }] of kept.entries()) {
          const resident = await bench.subjects.residentPercent(path);
          rows[index]?.samples.push({ minutes: minutes(), resident });
          if (keeper !== undefined) memory.set(name, memoryMib(keeper));
        }
        say(`  ${minutes().toFixed(1)} minutes: ${rows.map(latest).join(", ")}`);
        await sleep(LOOK_MS);
      }
      const costs: Row[] = [];
      for (const { name, keeper, began } of kept) {
        if (keeper?.pid === undefined || began === undefined) continue;
        const { seconds, readBytes } = await usageOf(keeper.pid);
        const { refills, postponed } = await stateAtEnd(keeper);
        const sample = {
          processor: (100 * (seconds - began.seconds)) / (60 * minutes()),
          memory: (memory.get(name) ?? Number.NaN) - emptyMib,
          read: (readBytes - began.readBytes) / 1024 ** 2,
          refills,
          postponed,
        };
        costs.push({ name, samples: [sample] });
      }
      const locked = costs.find(({ name }) => name === LOCKED)?.samples[0];
      const over = { key: "minutes", title: "minutes" };
      const title = `${settings.minutes} minutes in which nobody asks anything`;
      return {
        tables: [
          { id: "keep", title, columns: RESIDENT, rows, moreIsBetter: true, over },
          {
            id: "keep-cost",
            title: "What that cost",
            columns: COSTS,
            rows: costs,
            moreIsBetter: false,
          },
        ],
        checks: [
          {
            what: "keep where nothing goes missing, % of one processor",
            value: locked?.["processor"] ?? null,
            atMost: 0.1,
          },
          {
            what: "keep, MiB more than an empty Node",
            value: locked?.["memory"] ?? null,
            atMost: 40,
          },
        ],
      };
    } finally {
      for (const { keeper, engine } of kept) {
        keeper?.kill();
        engine.kill();
      }
    }
  },
};

/** @param options of `keep`; `null`: nobody looks after it */
async function start(bench: Bench, name: string, options: string[] | null): Promise<Kept> {
  const { subjects, settings, say } = bench;
  const path = await subjects.dense(settings.bytes, name.replace(/\W+/g, "-"));
  const byteLength = statSync(path).size;
  await subjects.cool(path);
  const task: IdleEngineTask = { path, byteLength };
  const script = await bundle("bench/children/idle-engine.ts");
  const engine = spawn(process.execPath, [script, JSON.stringify(task)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(engine.stdout, "data");
  say(` ${name}`);
  if (options === null) {
    await runProgram(process.execPath, [CLI, "warm", "--gate", "always", path]);
    return { name, path, engine, keeper: undefined, began: undefined };
  }
  const args = [CLI, "keep", "--pid", String(engine.pid), "--gate", "always", "--json", ...options];
  const keeper = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  await once(keeper, "spawn");
  let said = "";
  keeper.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  while (!said.includes("kept so until")) {
    if (keeper.exitCode !== null) throw new Error(`${name} ended: ${said}`);
    await sleep(50);
  }
  return { name, path, engine, keeper, began: await usageOf(keeper.pid ?? 0) };
}

/** It is stopped, and prints how things stood. */
async function stateAtEnd(keeper: ChildProcess): Promise<{ refills: number; postponed: number }> {
  let printed = "";
  keeper.stdout?.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  keeper.kill("SIGTERM");
  await once(keeper, "close");
  return JSON.parse(printed) as { refills: number; postponed: number };
}

/** Fields 14 and 15 are the ticks in user and in kernel mode (proc_pid_stat(5)). */
async function usageOf(pid: number): Promise<Usage> {
  const fields = await processStat(pid);
  const ticks = Number(fields[14 - 3]) + Number(fields[15 - 3]);
  return { seconds: ticks / TICKS_PER_SECOND, readBytes: (await readBytesOf([pid])) ?? Number.NaN };
}

/** Of Linux on every processor that Node knows. */
const TICKS_PER_SECOND = 100;

/** What it has alone: the pages of the file that it has mapped while it fills are not counted. */
function memoryMib({ pid }: ChildProcess): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

async function memoryOfEmptyNode(): Promise<number> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 60_000)"]);
  try {
    await sleep(1000);
    return memoryMib(child);
  } finally {
    child.kill();
  }
}

function latest({ name, samples }: Row): string {
  return `${name} ${samples.at(-1)?.["resident"]?.toFixed(1)} %`;
}
