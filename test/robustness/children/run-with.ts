/** Starts a server by the library again and again, and looks at what is left of it in this process. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type RunOptions, runWithPrefault } from "prefault";

interface Argument {
  readonly program: string;
  readonly path: string;
  readonly rounds: number;
}

const { program, path, rounds } = JSON.parse(process.argv[2] ?? "") as Argument;

function look() {
  const listeners = process
    .eventNames()
    .reduce((sum, name) => sum + process.listenerCount(name), 0);
  const [, kib] = /^VmLck:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return {
    threads: readdirSync("/proc/self/task").length,
    descriptors: readdirSync("/proc/self/fd").length,
    mappings: readFileSync("/proc/self/maps", "utf8").split(path).length - 1,
    listeners,
    lockedKib: Number(kib),
  };
}

type Traces = ReturnType<typeof look>;

/** What is on its way out may take a moment. */
async function settled(like?: Traces): Promise<Traces> {
  for (const deadline = Date.now() + 10_000; ; await sleep(50)) {
    const traces = look();
    const keys = Object.keys(traces) as (keyof Traces)[];
    const isSame = like === undefined || keys.every((key) => traces[key] <= like[key]);
    if (isSame || Date.now() > deadline) return traces;
  }
}

async function round(at: number): Promise<{ locked: number; ran: boolean }> {
  const options: RunOptions = {
    spawn: { stdio: "ignore" },
    log() {},
    gate: "always",
    lock: at % 2 === 0,
  };
  const { child, session } = await runWithPrefault(program, ["-m", path], options);
  // Some are ended while they warm.
  const report = at % 3 === 2 ? undefined : await session.report;
  const isHeld = () => look().lockedKib > 0 || at % 2 !== 0;
  if (report !== undefined) while (!isHeld()) await sleep(5);
  const locked = look().lockedKib;
  // Either ends the session.
  if (at % 4 < 2) await session.close();
  child.kill("SIGTERM");
  await session.close();
  await session.close();
  return { locked, ran: report?.ran ?? false };
}

await round(0);
const before = await settled();
const seen: Awaited<ReturnType<typeof round>>[] = [];
for (let at = 0; at < rounds; at++) seen.push(await round(at));
console.log(JSON.stringify({ before, after: await settled(before), seen }));
