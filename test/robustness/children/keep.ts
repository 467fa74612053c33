/** Keeps a file warm from inside a memory cgroup until it is killed, and writes down how things stand. */
import { renameSync, writeFileSync } from "node:fs";
import { type KeepOptions, keepWarm } from "prefault";

interface Argument {
  readonly path: string;
  readonly options: KeepOptions;
  /** Where the state goes, as JSON, whole at any time. */
  readonly statePath: string;
}

const { path, options, statePath } = JSON.parse(process.argv[2] ?? "") as Argument;
const kept = keepWarm(path, { ...options, log: () => {} });
const { ran, reason } = await kept.report;
setInterval(() => {
  writeFileSync(`${statePath}.new`, JSON.stringify({ ran, reason, ...kept.state }));
  renameSync(`${statePath}.new`, statePath);
}, 50);
