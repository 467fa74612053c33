import { loadShim, type Shim } from "../shims/index.ts";
import { type Layout, layOut } from "./arena/layout.ts";
import { type Mapping, mapForSweep } from "./arena/mapping.ts";
import { asPrefaultError, PrefaultError } from "./errors.ts";
import { isReplaced, type OpenFile } from "./files.ts";
import { type Gate, type GateAnswer, shouldRun } from "./gate.ts";
import { orAbort } from "./left-behind.ts";
import { availableBytes, totalBytes } from "./memory/memory.ts";
import type { ResolvedOptions } from "./options.ts";
import { cutChunks } from "./plan/merge.ts";
import { type Plan, planRegions } from "./plan/plan.ts";
import type { RangeTable } from "./plan/range-table.ts";
import { emptyReport, type PrefaultReport } from "./report.ts";
import { residentBytes } from "./residency/count.ts";
import type { DoneChunks } from "./sweep/done-chunks.ts";
import { defaultLanes, isWarm } from "./sweep/lanes.ts";
import { chooseStrategy } from "./sweep/strategy.ts";
import { type SweepResult, startSweep } from "./sweep/sweep.ts";
import type { TargetRun } from "./target.ts";
import { gibPerSecond, sumKnown } from "./units.ts";

/** Someone who wants the chunks in an order of their own, and to know when each is done. */
export interface Follower {
  order(chunks: RangeTable, layout: Layout, plan: Plan): RangeTable;
  /** The lanes are about to start. */
  started(done: DoneChunks): void;
  /** The run is over, or was skipped: no chunk will be done any more. */
  ended(): void;
}

/** A plan with what is particular to its run. */
export interface PlannedRun {
  readonly plan: Plan;
  readonly label: string;
  /** The run's own; the caller's option comes first. */
  readonly gate: Gate | undefined;
  /** Where the files are mapped already, and stay so. */
  readonly mapped?: { readonly layout: Layout; readonly mapping: Mapping };
}

/** The way of the data from regions on: plan, gate, arenas, sweep, report. */
export async function executeRun(
  run: TargetRun,
  options: ResolvedOptions,
  follower?: Follower,
): Promise<PrefaultReport> {
  const opening = planRegions(run.regions, await loadShim());
  const plan = await orAbort(options.signal, opening, (late) => late.close());
  const label = labelOf(options, run);
  const letGo = { released: Promise.resolve(), stuck: false };
  try {
    return await executePlan({ plan, label, gate: run.gate }, options, letGo, follower);
  } finally {
    follower?.ended();
    // A lane that hangs on its device still uses the files: they are closed when it is back.
    const closed = letGo.released.finally(plan.close);
    if (!letGo.stuck) await closed;
  }
}

/** From the plan on. Leaves in `letGo` when the plan's files are no longer used. */
export async function executePlan(
  { plan, label, gate, mapped }: PlannedRun,
  options: ResolvedOptions,
  letGo: { released: Promise<void>; stuck: boolean },
  follower?: Follower,
): Promise<PrefaultReport> {
  const shim = await loadShim();
  const before = await orAbort(options.signal, measure(shim, plan));
  const answer = askGate(shim, plan.bytes, sumKnown(before) ?? 0, gate, options);
  const planned: PrefaultReport = {
    ...emptyReport(label, answer.reason),
    bytes: plan.bytes,
    regions: plan.regions,
    ...residencyOf(plan, before, before),
  };
  if (!answer.run) return planned;

  const files = plan.files.map(({ file: { path, fd, byteLength, facts } }) => {
    return { path, fd, byteLength, facts };
  });
  const { strategy, why } = chooseStrategy(options.strategy, shim, files);
  const running = { ...planned, ran: true, strategy, strategyReason: why };
  const layout = mapped?.layout ?? layOut(plan.files.map((each) => each.ranges));
  const chunks = cutChunks(layout.pieces, options.chunkBytes);
  const mapping =
    strategy === "read" ? null : (mapped?.mapping ?? mapForSweep(layout, files, shim));
  const sweep = await startSweep({
    files,
    windows: layout.windows,
    chunks: follower?.order(chunks, layout, plan) ?? chunks,
    mapping,
    strategy,
    isWarm: isWarm(plan.bytes, sumKnown(before)),
    workers: options.workers ?? defaultLanes(plan.bytes, sumKnown(before), files),
    keepGoing: options.onError === "continue",
    workerUrl: options.workerUrl,
    signal: options.signal,
    onProgress: options.onProgress,
  });
  letGo.released = sweep.released;
  follower?.started(sweep.done);
  try {
    const result = await sweep.result;
    for (const { file } of plan.files) {
      if (await isReplaced(file)) throw replaced(file);
    }
    const after = result.residentBytes ?? (await measure(shim, plan));
    return { ...running, ...residencyOf(plan, before, after), ...outcome(plan.bytes, result) };
  } catch (thrown) {
    letGo.stuck = sweep.stuck;
    const error = asPrefaultError(thrown);
    return { ...running, reason: `failed: ${error.message}`, error };
  }
}

/** What is resident now is of no use to whoever opens the file by its name. */
function replaced({ path }: OpenFile): PrefaultError {
  const message = `${path} was replaced by another file while it was read`;
  return new PrefaultError("PREFAULT_FILE_CHANGED", message, { path });
}

/** The caller's label, else the run's own. */
export function labelOf(options: { readonly label?: string | undefined }, run?: TargetRun): string {
  return options.label ?? run?.label ?? "prefault";
}

export function askGate(
  shim: Shim,
  bytes: number,
  residentBytes: number,
  runGate: Gate | undefined,
  options: ResolvedOptions,
): GateAnswer {
  const { killSwitch } = options;
  const memory = shim.memory();
  const gate = options.gate ?? runGate ?? "fits-in-free-ram";
  return shouldRun({
    mode: process.env[killSwitch],
    totalBytes: bytes,
    availableBytes:
      gate === "fits-in-ram" ? totalBytes(memory) : availableBytes(residentBytes, memory),
    gate,
    killSwitch,
  });
}

/** Resident bytes of each file of the plan. */
async function measure(shim: Shim, plan: Plan): Promise<(number | null)[]> {
  const counts: (number | null)[] = [];
  for (const { file, ranges } of plan.files) counts.push(await residentBytes(shim, file, ranges));
  return counts;
}

function residencyOf(
  plan: Plan,
  before: readonly (number | null)[],
  after: readonly (number | null)[],
) {
  return {
    residentBytesBefore: sumKnown(before),
    residentBytesAfter: sumKnown(after),
    files: plan.files.map(({ file, bytes }, index) => ({
      path: file.path,
      bytes,
      residentBytesBefore: before[index] ?? null,
      residentBytesAfter: after[index] ?? null,
    })),
  };
}

export function outcome(bytes: number, result: SweepResult) {
  const { failures, residentBytes: _, ...numbers } = result;
  const [first] = failures;
  const known = {
    ...numbers,
    gibPerSecond: gibPerSecond(bytes, result.seconds),
    failures: failures.map(({ path, offset, byteLength, code, errno, message }) => {
      return { path, offset, byteLength, code, errno, message };
    }),
  };
  if (first === undefined) return known;
  const error = new PrefaultError(first.code, first.message, first);
  return { ...known, reason: `failed: ${error.message}`, error };
}
