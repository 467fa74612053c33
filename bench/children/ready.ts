/**
 * Reads every byte of a model once, layer by layer, as the first token of a dense model does: beside
 * a sweep, behind it, or with none.
 */
import { mapModel, type PrefaultOptions, prefault, startPrefault } from "prefault";
import { sumBytes } from "../sum-bytes.ts";

export interface ReadyTask {
  readonly path: string;
  readonly start: "at once" | "after the sweep" | "no sweep";
}

/** Seconds since the sweep's start, or the reader's where there is none. */
export interface ReadyOutcome {
  /** When the first layer was read, what comes before it included. */
  readonly firstLayer: number;
  readonly firstToken: number;
  readonly sum: number;
}

const { path, start } = JSON.parse(process.argv[2] ?? "{}") as ReadyTask;
const options: PrefaultOptions = { gate: "always", onError: "throw", log() {} };
// The reader's own mapping: the sweep beside it has another.
await using model = await mapModel(path);
let sum = 0;
let firstLayer = Number.NaN;

const started = performance.now();
const seconds = () => (performance.now() - started) / 1000;
if (start === "at once") {
  const session = startPrefault(path, options);
  for await (const { name } of session) read(name);
  await session.report;
} else {
  if (start === "after the sweep") await prefault(path, options);
  for (const part of partsInOrder()) read(part);
}
const outcome: ReadyOutcome = { firstLayer, firstToken: seconds(), sum };
process.stdout.write(`${JSON.stringify(outcome)}\n`);

/** As a session names them. */
function partsInOrder(): string[] {
  const names = model.tensorNames.map((name) => /^(blk\.\d+|[^.]+)/.exec(name)?.[0] ?? name);
  return [...new Set(names)];
}

function read(part: string): void {
  for (const name of model.tensorNames) {
    if (!name.startsWith(`${part}.`)) continue;
    for (const { buffer, byteOffset, byteLength } of model.tensor(name).views) {
      sum += sumBytes(buffer, byteOffset, byteLength);
    }
  }
  if (part === "blk.0") firstLayer = seconds();
}
