/** Fills within a budget from inside a memory cgroup, and says what came of it. */
import { type PrefaultOptions, prefault } from "prefault";

interface Argument {
  readonly path: string;
  readonly options: PrefaultOptions;
  /** Taken when the first run is over, as another program of the group would take it. */
  readonly takenBytes?: number;
}

const { path, options, takenBytes = 0 } = JSON.parse(process.argv[2] ?? "") as Argument;
let taken = Buffer.alloc(0);
const { ran, error, reason, notes, budgetBytes, runs } = await prefault(path, {
  ...options,
  log() {},
  onProgress({ bytesDone, bytesTotal }) {
    if (bytesDone >= bytesTotal && taken.length === 0) taken = Buffer.alloc(takenBytes, 1);
  },
});
const said = (runs ?? []).map(({ name, plannedBytes, leftOutBytes, residentBytesAfter }) => {
  return { name, plannedBytes, leftOutBytes, residentBytesAfter };
});
const code = error?.code ?? null;
console.log(JSON.stringify({ ran, code, reason, notes, budgetBytes, runs: said }));
