import { loadShim, type Shim } from "../shims/index.ts";
import { type Layout, layOut } from "./arena/layout.ts";
import { type Mapping, mapForSweep } from "./arena/mapping.ts";
import { abortError, asPrefaultError, PrefaultError } from "./errors.ts";
import { type FileSource, isReplaced, type OpenFile } from "./files.ts";
import { type Gate, type GateAnswer, shouldRun } from "./gate.ts";
import { killSwitch } from "./kill-switch.ts";
import { orAbort } from "./left-behind.ts";
import { availableBytes, totalBytes } from "./memory/memory.ts";
import type { ResolvedOptions } from "./options.ts";
import { cutChunks } from "./plan/merge.ts";
import { type Plan, planRegions } from "./plan/plan.ts";
import type { RangeTable } from "./plan/range-table.ts";
import { emptyReport, type PrefaultReport } from "./report.ts";
import { residentBytes } from "./residency/count.ts";
import { DoneChunks } from "./sweep/done-chunks.ts";
import { defaultLanes, isWarm } from "./sweep/lanes.ts";
import { chooseStrategy } from "./sweep/strategy.ts";
import { type Sweep, type SweepResult, startSweep } from "./sweep/sweep.ts";
import { type Way, wayAfter } from "./sweep/way.ts";
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

/** The way of the data from regions on: plan, gate, arenas, sweep, report. Never rejects. */
export async function executeRun(
  run: TargetRun,
  options: ResolvedOptions,
  follower?: Follower,
): Promise<PrefaultReport> {
  const label = labelOf(options, run);
  let plan: Plan;
  try {
    const opening = planRegions(run.regions, await loadShim());
    plan = await orAbort(options.signal, opening, (late) => late.close());
  } catch (thrown) {
    follower?.ended();
    return failedReport(emptyReport(label, ""), thrown);
  }
  const letGo = { released: Promise.resolve(), stuck: false };
  try {
    return await executePlan({ plan, label, gate: run.gate }, options, letGo, follower);
  } finally {
    follower?.ended();
    // A lane that hangs on its device still uses the files: they are closed when it is back. What was
    // read is reported, whatever closing a file says.
    const closed = letGo.released.then(plan.close).catch(() => {});
    if (!letGo.stuck) await closed;
  }
}

/** From the plan on. Leaves in `letGo` when the plan's files are no longer used. Never rejects. */
export async function executePlan(
  planned: PlannedRun,
  options: ResolvedOptions,
  letGo: { released: Promise<void>; stuck: boolean },
  follower?: Follower,
): Promise<PrefaultReport> {
  const { plan, label, gate } = planned;
  // What is known so far, for the case that the next step fails.
  let report: PrefaultReport = {
    ...emptyReport(label, ""),
    bytes: plan.bytes,
    regions: plan.regions,
  };
  try {
    const shim = await loadShim();
    const before = await measure(shim, plan, options.signal);
    const answer = askGate(shim, plan.bytes, sumKnown(before) ?? 0, gate, options);
    report = { ...report, reason: answer.reason, ...residencyOf(plan, before, before) };
    if (!answer.run) return report;

    const files = plan.files.map(({ file: { path, fd, byteLength, facts } }) => {
      return { path, fd, byteLength, facts };
    });
    const layout = planned.mapped?.layout ?? layOut(plan.files.map((each) => each.ranges));
    const cut = cutChunks(layout.pieces, options.chunkBytes);
    const chunks = follower?.order(cut, layout, plan) ?? cut;
    const done = DoneChunks.forChunks(chunks.length);
    follower?.started(done);
    const order: Order = { layout, chunks, done, before, files };
    let way: Way = chooseStrategy(options.strategy, shim, files);
    for (;;) {
      const running = { ...report, ran: true, strategy: way.strategy, strategyReason: way.why };
      try {
        const sweep = await startWay(way, order, planned, options, shim);
        report = running;
        letGo.released = sweep.released;
        const result = await sweep.result.finally(() => {
          letGo.stuck = sweep.stuck;
        });
        for (const { file } of plan.files) {
          if (await isReplaced(file)) throw replaced(file);
        }
        const after = result.residentBytes ?? (await measure(shim, plan));
        return { ...running, ...residencyOf(plan, before, after), ...outcome(plan.bytes, result) };
      } catch (thrown) {
        const next = wayAfter(thrown, way, options.strategy);
        if (next === null) throw thrown;
        way = next;
      }
    }
  } catch (thrown) {
    return failedReport(report, thrown);
  }
}

/** What is filled, whichever way. */
interface Order {
  readonly layout: Layout;
  readonly chunks: RangeTable;
  readonly done: DoneChunks;
  /** Resident bytes of each file before. */
  readonly before: readonly (number | null)[];
  readonly files: readonly FileSource[];
}

function startWay(
  { strategy, isHere }: Way,
  { layout, chunks, done, before, files }: Order,
  { plan, mapped }: PlannedRun,
  options: ResolvedOptions,
  shim: Shim,
): Promise<Sweep> {
  if (options.signal?.aborted) throw abortError(options.signal);
  const mapping =
    strategy === "read" ? null : (mapped?.mapping ?? mapForSweep(layout, files, shim));
  const lanes = options.workers ?? defaultLanes(plan.bytes, sumKnown(before), files);
  return startSweep({
    files,
    windows: layout.windows,
    chunks,
    done,
    mapping,
    strategy,
    isWarm: isWarm(plan.bytes, sumKnown(before)),
    workers: isHere ? 0 : lanes,
    keepGoing: options.onError === "continue",
    workerUrl: options.workerUrl,
    signal: options.signal,
    onProgress: options.onProgress,
  });
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
  const memory = shim.memory();
  const gate = options.gate ?? runGate ?? "fits-in-free-ram";
  const { mode, name } = killSwitch(options.killSwitch);
  return shouldRun({
    mode,
    totalBytes: bytes,
    availableBytes:
      gate === "fits-in-ram" ? totalBytes(memory) : availableBytes(residentBytes, memory),
    gate,
    killSwitch: name,
  });
}

/** Resident bytes of each file of the plan. */
async function measure(shim: Shim, plan: Plan, signal?: AbortSignal): Promise<(number | null)[]> {
  const counts: (number | null)[] = [];
  for (const { file, ranges } of plan.files) {
    counts.push(await residentBytes(shim, file, ranges, signal));
  }
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

/** A report of a run that failed, with what was known of it by then. */
export function failedReport(known: PrefaultReport, thrown: unknown): PrefaultReport {
  const error = asPrefaultError(thrown);
  return { ...known, reason: `failed: ${error.message}`, error };
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
