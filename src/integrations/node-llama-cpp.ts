/**
 * A place beside node-llama-cpp: makes a model resident while it loads.
 *
 * @module prefault/node-llama-cpp
 */
import { abortWith } from "../abortable.ts";
import { guarded } from "../guarded.ts";
import { type PrefaultOptions, resolveOptions } from "../options.ts";
import type { NodeLlamaCppModel } from "../passes/llama/node-llama-cpp.ts";
import type { PrefaultReport } from "../run/report.ts";
import { LoadProgress } from "./load-progress.ts";
import { sweepBeside } from "./sweep-beside.ts";

export type { NodeLlamaCppModel, PrefaultReport };

/** The fields of node-llama-cpp's `LlamaModelOptions` that matter here. */
export interface NodeLlamaCppLoad extends NodeLlamaCppModel {
  readonly modelPath: string;
  readonly vocabOnly?: boolean | undefined;
  readonly onLoadProgress?: ((loadProgress: number) => void) | undefined;
  readonly loadSignal?: AbortSignal | undefined;
}

/**
 * How to sweep: the options of `prefault`, but for those that the load itself brings. By default no worker threads
 * fill during the load, but two of libuv's, since the load needs the processors. After it, and on systems that do not
 * tell what the load reads (all but Linux), `workers` is half the processors, at least one and at most eight.
 */
export interface WithPrefaultOptions
  extends Omit<PrefaultOptions, "onError" | "onProgress" | "signal"> {
  /**
   * Takes the report when a sweep is over, which may be after the load. Called once; a second time
   * where the load decided otherwise than its options said, and more was left to sweep.
   */
  readonly onReport?: ((report: PrefaultReport) => void) | undefined;
}

/**
 * Loads a model with node-llama-cpp, and makes what of it stays on the CPU resident meanwhile, so
 * that load and first token do not wait for the disk.
 *
 * ```ts
 * const model = await withPrefault({ modelPath, gpuLayers: 20 }, (options) => llama.loadModel(options));
 * ```
 *
 * - **What is swept:** the weights that `gpuLayers` leaves on the CPU. `"auto"` and ranges are
 *   decided during the load: then it is the whole model, since the load reads all of it anyway. What
 *   the loaded model says is looked at afterwards, and what was missed is swept then.
 * - **When it resolves:** with what `load` gives, as soon as `load` does. The sweep stops there when
 *   all it was to do is resident, as it is on Linux after a load, or was copied by the load
 *   (`useMmap` is false). Elsewhere the rest goes on beside the first request, and `onReport` tells
 *   when it is over.
 * - **Of a model that does not fit,** or with a `budget`, a part is filled when the load is done, which reads
 *   all of the model: room is made in this process's own mapping first. `withPrefault` resolves after that.
 * - **What went to the GPU** is dropped from the page cache when the load is done, where the CPU's part would
 *   not fit in memory beside it. Then the CPU's part is filled, and `withPrefault` resolves after that.
 * - **It never fails a load.** What goes wrong is in the report. A load that fails does so with its
 *   own error, and stops the sweep.
 * - **`loadSignal`** stops both, also what is left of the sweep after the load.
 * - **`onLoadProgress`** is told of both: the sweep fills half of what the load has left, which says
 *   nothing while it maps a file; it never falls, and is 1 at the end. For that `load` has to take
 *   the options it is given. One without a parameter has its own, and their `onLoadProgress` is told
 *   of the load alone.
 *
 * Nothing is swept with `vocabOnly`, which loads no weights, nor with `useDirectIo`, which goes past
 * the page cache, nor when the gate or the kill switch says so.
 *
 * @param options node-llama-cpp's `LlamaModelOptions`
 * @param load calls `llama.loadModel`, with the options it is given or with the same ones
 */
export async function withPrefault<Options extends NodeLlamaCppLoad, Loaded>(
  options: Options,
  load: (options: Options) => Loaded | PromiseLike<Loaded>,
  { onReport = () => {}, label = "node-llama-cpp", log, ...how }: WithPrefaultOptions = {},
): Promise<Loaded> {
  const { loadSignal, onLoadProgress } = options;
  const merges = onLoadProgress !== undefined && load.length > 0;
  const progress = new LoadProgress(merges ? (share) => onLoadProgress(share) : () => {});
  const merged = merges
    ? { ...options, onLoadProgress: (share: number) => progress.loaded(share) }
    : options;

  const stop = new AbortController();
  const release = abortWith(stop, loadSignal);

  const loading = (async () => load(merged))();
  const sweep = sweepBeside(options, loading, guarded(onReport), {
    ...how,
    label,
    log: resolveOptions({ log }).log,
    onError: "report",
    signal: stop.signal,
    onProgress: ({ bytesDone, bytesTotal }) => progress.swept(bytesDone / bytesTotal),
  });
  void sweep.over.finally(release);

  try {
    const loaded = await loading;
    if (await sweep.isAfterLoad) await sweep.over;
    progress.end(true);
    return loaded;
  } catch (error) {
    progress.end(false);
    stop.abort(error);
    throw error;
  }
}
