import type { Layout } from "./arena/layout.ts";
import { describeValue } from "./describe.ts";
import { PrefaultError } from "./errors.ts";
import type { Model } from "./model/model.ts";
import type { PrefaultOptions } from "./options.ts";
import { layerName, type Part, partsOf } from "./plan/parts.ts";
import type { Plan } from "./plan/plan.ts";
import type { RangeTable } from "./plan/range-table.ts";
import type { FileRegion } from "./plan/region.ts";
import { prefaultFollowed } from "./prefault.ts";
import type { PrefaultReport } from "./report.ts";
import type { Follower } from "./run.ts";
import type { DoneChunks } from "./sweep/done-chunks.ts";
import { type Schedule, schedule } from "./sweep/schedule.ts";
import { type ResolvedTarget, type Target, tensorRegion } from "./target.ts";

/** A part of the target, resident or given up. */
export interface ReadyPart {
  /** Such as `token_embd` or `blk.0`. */
  readonly name: string;
  /** False when the gate skipped the target, or the sweep ended before it came to this part. */
  readonly resident: boolean;
}

/** A prefault under way, part by part. */
export interface PrefaultSession extends AsyncIterable<ReadyPart> {
  /**
   * Waits until a part is resident: a layer by its number or name (`0`, `"blk.0"`), or a tensor by
   * its name. Parts become resident in the order inference needs them.
   *
   * @returns whether it is; `false` when the gate skipped the target or the sweep stopped before
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
  let introduce: (runs: readonly FollowedRun[]) => void = () => {};
  const introduced = new Promise<readonly FollowedRun[]>((resolve) => {
    introduce = resolve;
  });
  const report = prefaultFollowed(target, options, (resolved) => {
    const runs = followedRuns(resolved);
    introduce(runs);
    return runs;
  });
  // Also keeps a rejection that the caller has not looked at yet from being reported as unhandled.
  report
    .catch(() => {})
    .then(async () => {
      // Nothing to follow when the prefault ended before its target was known.
      introduce([]);
      // A run that failed before it was planned, or for which one before it failed, does not say so.
      for (const run of await introduced) run.ended();
    });

  async function ready(part: string | number): Promise<boolean> {
    const runs = await introduced;
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
    const names = (await introduced).flatMap((run) => run.parts.map((part) => part.name));
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

function followedRuns({ models, runs }: ResolvedTarget): FollowedRun[] {
  const tensors = models.flatMap((model) =>
    model.tensors.map((tensor) => tensorRegion(model, tensor)),
  );
  return runs.map((run) => new FollowedRun(tensors.length > 0 ? tensors : run.regions));
}

/** A look into shared memory this often, should a wake-up get lost. */
const LOOK_MS = 50;

/** What is known of one run while it fills. */
class FollowedRun implements Follower {
  readonly parts: readonly Part[];
  readonly #regions: readonly FileRegion[];
  readonly #running: Promise<{ schedule: Schedule; done: DoneChunks } | null>;
  #begin: (running: { schedule: Schedule; done: DoneChunks } | null) => void = () => {};
  #schedule: Schedule | undefined;
  #over = false;

  constructor(regions: readonly FileRegion[]) {
    this.#regions = regions;
    this.parts = partsOf(regions);
    this.#running = new Promise((resolve) => {
      this.#begin = resolve;
    });
  }

  order(chunks: RangeTable, layout: Layout, plan: Plan): RangeTable {
    this.#schedule = schedule(chunks, layout, plan, this.parts);
    return this.#schedule.chunks;
  }

  started(done: DoneChunks): void {
    if (this.#schedule !== undefined) this.#begin({ schedule: this.#schedule, done });
  }

  ended(): void {
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
      if (chunks.every((chunk) => done.has(chunk))) return true;
      if (this.#over) return false;
      await done.changed(seen, LOOK_MS);
    }
  }
}
