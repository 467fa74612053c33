/** Fills within a budget from inside a memory cgroup, and says what came of it. */
import { type PrefaultOptions, prefault } from "prefault";

interface Argument {
  readonly path: string;
  readonly options: PrefaultOptions;
}

const { path, options } = JSON.parse(process.argv[2] ?? "") as Argument;
const { ran, error, reason, notes, budgetBytes, runs } = await prefault(path, {
  ...options,
  log() {},
});
const said = (runs ?? []).map(({ name, plannedBytes, leftOutBytes, residentBytesAfter }) => {
  return { name, plannedBytes, leftOutBytes, residentBytesAfter };
});
const code = error?.code ?? null;
console.log(JSON.stringify({ ran, code, reason, notes, budgetBytes, runs: said }));
