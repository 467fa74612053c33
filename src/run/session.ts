import { describeValue } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import { FileSet } from "../file/file-set.ts";
import type { Model } from "../model/model.ts";
import type { PrefaultOptions } from "../options.ts";
import { layerName, type Part, partsOf } from "../plan/parts.ts";
import type { FileRegion } from "../plan/region.ts";
import type { DoneChunks } from "../sweep/done-chunks.ts";
import type { Schedule } from "../sweep/schedule.ts";
import type { RunSource } from "../target/run.ts";
import { type ResolvedTarget, type Target, tensorRegion } from "../target/target.ts";
import type { PartOrder } from "./fill.ts";
import { executeTarget, openTarget, reporting } from "./prefault.ts";
import type { PrefaultReport } from "./report.ts";

/** A part of the target, resident or given up. */
export interface ReadyPart {
  /** Such as `token_embd` or `blk.0`. */
  readonly name: string;
  /**
   * False when the gate skipped the target, a budget left out some of this part, or the sweep ended before
   * it came to it.
   */
  readonly resident: boolean;
}

/** A prefault under way, part by part. */
export interface PrefaultSession extends AsyncIterable<ReadyPart> {
  /**
   * Waits until a part is resident: a layer by its number or name (`0`, `"blk.0"`), or a tensor by
   * its name. Parts become resident in the order inference needs them.
   *
   * @returns whether all of it is; `false` when the gate skipped the target, a budget left out some of the
   *   part (what was chosen of it is resident by then), or the sweep stopped before
   * @throws {@link PrefaultError} `PREFAULT_UNKNOWN_TENSOR` for a part the target does not have
   */
  ready(part: string | number): Promise<boolean>;
  /** What `prefault` would have returned. Rejects with `onError: "throw"` only. */
  readonly report: Promise<PrefaultReport>;
}

/**
 * Starts a prefault and says of each part when it is resident, in the order inference needs them, so
 * that an engine can compute its first layer while the last is still on the disk.
 *
 * Takes what `prefault` takes. Where a plan has two runs, parts of the second follow the first run.
 */
export function startPrefault(target: Target, options: PrefaultOptions = {}): PrefaultSession {
  const files = new FileSet();
  let tell: (runs: readonly AwaitedRun[]) => void = () => {};
  const awaited = new Promise<readonly AwaitedRun[]>((resolve) => {
    tell = resolve;
  });
  const report = reporting(options, async (resolved) => {
    const opened = await openTarget(target, resolved, files);
    const runs = awaitedRuns(opened);
    tell(runs);
    return executeTarget(
      opened,
      resolved,
      files,
      runs.map((order) => ({ order })),
    );
  });
  // Also keeps a rejection that the caller has not looked at yet from being reported as unhandled.
  report
    .catch(() => {})
    .then(async () => {
      // There are none when the prefault ended before its target was known.
      tell([]);
      // A run that was never begun, because one before it failed, ends here.
      for (const run of await awaited) run.onEnd();
    });

  async function ready(part: string | number): Promise<boolean> {
    const runs = await awaited;
    const name = typeof part === "number" ? layerName(part) : part;
    const members = runs.map((run) => run.members(name));
    if (runs.length > 0 && members.every((regions) => regions.length === 0)) {
      throw new PrefaultError(
        "PREFAULT_UNKNOWN_TENSOR",
        `${whatOf(target)} has no part ${describeValue(name)}`,
      );
    }
    const resident = runs.map((run, index) => run.whenResident(members[index] ?? []));
    return runs.length > 0 && (await Promise.all(resident)).every(Boolean);
  }

  async function* parts(): AsyncGenerator<ReadyPart> {
    const names = (await awaited).flatMap((run) => run.parts.map((part) => part.name));
    for (const name of new Set(names)) yield { name, resident: await ready(name) };
  }

  return { ready, report, [Symbol.asyncIterator]: parts };
}

/** A target in a message: its path, where it has one. */
function whatOf(target: Target): string {
  if (typeof target === "string") return target;
  const { files, model } = target as { files?: Model["files"]; model?: Model };
  return files?.[0]?.path ?? model?.files[0]?.path ?? "the target";
}

function awaitedRuns({ models, runs }: ResolvedTarget): AwaitedRun[] {
  return runs.map((run) => {
    if (run.kind !== "files") return new AwaitedRun([]);
    // Of the whole run, also where a budget has chosen some of its regions only.
    const sources = run.source === undefined ? models : [run.source];
    const tensors = sources.flatMap(tensorsOf);
    return new AwaitedRun(tensors.length > 0 ? tensors : run.regions);
  });
}

function tensorsOf(source: Model | RunSource): FileRegion[] {
  const model = "model" in source ? source.model : source;
  return source.tensors.map((tensor) => tensorRegion(model, tensor));
}

/** A look into shared memory this often, should a wake-up get lost. */
const LOOK_MS = 50;

/** A run that fills its parts in order, and can be waited for part by part. */
class AwaitedRun implements PartOrder {
  readonly parts: readonly Part[];
  readonly #regions: readonly FileRegion[];
  readonly #running: Promise<{ schedule: Schedule; done: DoneChunks } | null>;
  #begin: (running: { schedule: Schedule; done: DoneChunks } | null) => void = () => {};
  #over = false;

  constructor(regions: readonly FileRegion[]) {
    this.#regions = regions;
    this.parts = partsOf(regions);
    this.#running = new Promise((resolve) => {
      this.#begin = resolve;
    });
  }

  onStart(schedule: Schedule, done: DoneChunks): void {
    this.#begin({ schedule, done });
  }

  onEnd(): void {
    this.#over = true;
    this.#begin(null);
  }

  /** The regions of a part, or of one tensor. */
  members(name: string): readonly FileRegion[] {
    const part = this.parts.find((each) => each.name === name);
    return part?.regions ?? this.#regions.filter((region) => region.tensor === name);
  }

  async whenResident(regions: readonly FileRegion[]): Promise<boolean> {
    if (regions.length === 0) return true;
    const running = await this.#running;
    if (running === null) return false;
    const { schedule, done } = running;
    const chunks = schedule.chunksOf(regions);
    for (;;) {
      const seen = done.count;
      if (chunks.every((chunk) => done.has(chunk))) return schedule.cover(regions);
      if (this.#over) return false;
      await done.changed(seen, LOOK_MS);
    }
  }
}
