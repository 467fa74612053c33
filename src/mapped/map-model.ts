import { loadShim } from "../../shims/index.ts";
import { abortable, closed } from "../abortable.ts";
import { layOut } from "../arena/layout.ts";
import { PrefaultError } from "../errors.ts";
import type { Model, Tensor } from "../model/model.ts";
import { openModel } from "../model/open-model.ts";
import { expectPath, signalOf } from "../options.ts";
import { type PassName, type Placement, planPass } from "../passes/index.ts";
import { type Plan, planRegions } from "../plan/plan.ts";
import { pagesOf, type Range } from "../plan/range.ts";
import { tensorRegion } from "../target/target.ts";
import { MappedModel } from "./mapped-model.ts";
import { copyIntoMemories, mapIntoArenas } from "./memories.ts";

/** Which tensors to map, and how. With no placement at all: every tensor of the model. */
export type MapModelOptions = Placement & {
  /** The pass the placement is for. @defaultValue `"llama.cpp"` */
  readonly pass?: PassName;
  /**
   * Read the tensors into memory in place of mapping the file: costs as much memory, and works on
   * every system. @defaultValue `false`
   */
  readonly copy?: boolean;
  /** Rejects with `PREFAULT_ABORTED` as soon as it fires, and leaves nothing mapped or open. */
  readonly signal?: AbortSignal | undefined;
};

/**
 * Lays the tensors a placement leaves on the CPU into shared WebAssembly memory, without copying a
 * byte, and keeps them there until the model is closed.
 *
 * ```ts
 * await using model = await mapModel("model.gguf", { gpuLayers: 20 });
 * await model.prefault();
 * const [weights] = model.tensor("blk.0.ffn_down.weight").views;
 * ```
 *
 * @throws {@link PrefaultError} what `openModel` and `planPass` throw, `PREFAULT_INVALID_OPTION`,
 *   `PREFAULT_ABORTED`, `PREFAULT_MAP_FAILED`, and
 *   `PREFAULT_UNSUPPORTED` on a system that cannot map into WebAssembly memory (Windows, or without
 *   koffi), unless `copy` is set
 */
export async function mapModel(path: string, options: MapModelOptions = {}): Promise<MappedModel> {
  const signal = signalOf(options);
  expectPath(path);
  const { copy = false, pass, signal: _, ...placement } = options;
  const shim = await loadShim();
  if (!copy && !shim.canPlace) {
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `${path} cannot be mapped with the ${shim.name} shim; use { copy: true } to read it instead`,
      { path },
    );
  }
  const model = await abortable(signal, openModel(path));
  const placed = pass !== undefined || Object.keys(placement).length > 0;
  const tensors = placed ? cpuTensors(model, placement, pass) : model.tensors;
  const regions = tensors.map((tensor) => tensorRegion(model, tensor));
  const plan = await abortable(signal, planRegions(regions, shim), (late) => late.close());
  try {
    const layout = layOut(tensorRanges(model, tensors, plan, shim.pageBytes), true);
    const files = plan.files.map(({ file }) => file);
    const memories = copy
      ? await copyIntoMemories(layout, files, shim, signal)
      : mapIntoArenas(layout, files, shim);
    return new MappedModel(model, tensors, plan, layout, memories);
  } catch (error) {
    await closed(signal, plan.close());
    throw error;
  }
}

function cpuTensors(model: Model, placement: Placement, pass?: PassName): Tensor[] {
  const { runs } = planPass(model, placement, pass);
  // The reference lists a tied embedding twice.
  const listed = new Set(runs.flatMap((run) => run.regions.map(({ tensor }) => tensor)));
  return model.tensors.filter((tensor) => listed.has(tensor));
}

/** The whole pages of each tensor, by file of the plan; neighbours may share a page. */
function tensorRanges(
  model: Model,
  tensors: readonly Tensor[],
  plan: Plan,
  pageBytes: number,
): Range[][] {
  const ranges: Range[][] = plan.files.map(() => []);
  for (const tensor of tensors) {
    const { index, range } = plan.locate(tensorRegion(model, tensor));
    if (range.byteLength > 0) ranges[index]?.push(pagesOf(range, pageBytes));
  }
  return ranges;
}
