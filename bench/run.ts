/**
 * `npm run bench -- --scope NAMES --json FILE`: measures, prints the tables, writes every sample.
 */
import { writeFileSync } from "node:fs";
import { KILL_SWITCHES } from "../src/kill-switch.ts";
import { compileTools } from "./compile.ts";
import { GuestMemory } from "./guest-memory.ts";
import { describeMachine, isGuest } from "./machine.ts";
import { renderMachine, renderScope } from "./markdown.ts";
import type { BenchResult, ScopeResult } from "./result.ts";
import { SCOPES } from "./scopes/index.ts";
import { parseSettings, type Settings, USAGE } from "./settings.ts";
import { Subjects } from "./subject.ts";

let settings: Settings;
try {
  settings = parseSettings(process.argv.slice(2));
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
  process.exit(2);
}

// The product's kill switch would turn every sweep here into a skip.
for (const name of KILL_SWITCHES) delete process.env[name];
const startedAt = new Date().toISOString();
const tools = await compileTools();
const memory = new GuestMemory(tools, isGuest() === true);
const subjects = new Subjects(settings.dir, memory, settings.dropCaches);
const machine = await describeMachine(subjects.folder);
const say = (line: string) => console.error(line);
console.log(renderMachine(machine));

const scopes: ScopeResult[] = [];
for (const name of settings.scopes) {
  const scope = SCOPES[name];
  say(`scope ${name}`);
  const started = performance.now();
  const outcome = await scope.run({ settings, machine, subjects, tools, say });
  const seconds = (performance.now() - started) / 1000;
  const { compares, wrongWhen } = scope;
  scopes.push({ scope: name, compares, wrongWhen, seconds, ...outcome });
  console.log(renderScope({ scope: name, compares, wrongWhen, seconds, ...outcome }));
  // After each scope, so that the figures are kept when a later one fails.
  const result: BenchResult = { startedAt, settings, machine, scopes };
  if (settings.json !== undefined) writeFileSync(settings.json, JSON.stringify(result, null, 1));
}
