import { setTimeout as sleep } from "node:timers/promises";
import { abortable } from "../abortable.ts";
import { PrefaultError } from "../errors.ts";
import type { Profile } from "../experts/profile.ts";
import { ResidencySum } from "../experts/record.ts";
import { guarded } from "../guarded.ts";
import type { Model, Tensor } from "../model/model.ts";
import { openModel } from "../model/open-model.ts";
import { expectPath, signalOf } from "../options.ts";
import { ExpertWatch, type LayerResidency } from "./expert-residency.ts";

/** Thirty seconds: an engine that decodes replaces about a tenth of its experts in that time. */
export const EVERY_MS = 30_000;

export interface RecordOptions {
  /** Milliseconds between two looks. @defaultValue `30_000` */
  readonly everyMs?: number | undefined;
  /** Milliseconds after which the recording ends; `0` for a single look. @defaultValue until aborted */
  readonly forMs?: number | undefined;
  /** The routed experts to look at. @defaultValue all of the model */
  readonly tensors?: readonly Tensor[] | undefined;
  /** Ends the recording. What was seen until then is the result, and no rejection. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each look with how many there were. */
  readonly onSample?: ((samples: number) => void) | undefined;
}

/**
 * Records which routed experts an engine uses, by what of each is resident while it works: experts that
 * are chosen often stay in the page cache. A look right after a load shows the load, and not the use.
 *
 * @param target a model's path, or an open model
 * @returns a profile that `writeProfile` writes and `prefault` takes
 * @throws {@link PrefaultError} what `openModel` throws; `PREFAULT_INVALID_MODEL` for a model without
 *   routed experts, `PREFAULT_UNSUPPORTED` where the system does not say what is resident, and
 *   `PREFAULT_ABORTED` when the signal fired before the first look
 */
export async function recordProfile(
  target: string | Model,
  options: RecordOptions = {},
): Promise<Profile> {
  const signal = signalOf(options);
  const everyMs = duration("everyMs", options.everyMs ?? EVERY_MS, 1);
  const forMs = options.forMs === undefined ? undefined : duration("forMs", options.forMs, 0);
  const onSample = guarded(options.onSample ?? (() => {}));
  if (typeof target === "string") expectPath(target);
  const model = typeof target === "string" ? await openModel(target, { signal }) : target;
  const path = model.files[0]?.path ?? "";
  const sum = new ResidencySum(model);
  await using watch = await ExpertWatch.open(model, options.tensors, signal);
  if (watch.layers.length === 0) {
    throw new PrefaultError("PREFAULT_INVALID_MODEL", `${path} has no routed experts to record`, {
      path,
    });
  }
  const endMs = performance.now() + (forMs ?? Number.POSITIVE_INFINITY);
  for (;;) {
    const looking = abortable(signal, watch.look());
    const seen = await (sum.samples === 0 ? looking : looking.catch(() => undefined));
    if (seen === null) throw hidden(path);
    if (seen !== undefined) {
      sum.add(rowsOf(seen));
      onSample(sum.samples);
    }
    const leftMs = endMs - performance.now();
    if (leftMs <= 0 || (await isAborted(Math.min(everyMs, leftMs), signal))) return sum.profile();
  }
}

/** Waits. @returns whether the signal has fired */
async function isAborted(milliseconds: number, signal: AbortSignal | undefined): Promise<boolean> {
  await sleep(milliseconds, undefined, signal && { signal }).catch(() => {});
  return signal?.aborted === true;
}

/** By block, as a profile has them. */
function rowsOf(layers: readonly LayerResidency[]): Float64Array[] {
  const rows: Float64Array[] = [];
  for (const { block, shares } of layers) rows[block] = shares;
  return Array.from(rows, (row) => row ?? new Float64Array(0));
}

function hidden(path: string): PrefaultError {
  return new PrefaultError(
    "PREFAULT_UNSUPPORTED",
    `the system does not say what of ${path} is resident, so that its use cannot be recorded`,
    { path },
  );
}

function duration(name: string, value: number, least: number): number {
  if (Number.isFinite(value) && value >= least) return value;
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `${name} must be a number of milliseconds from ${least} on, got ${String(value)}`,
  );
}
