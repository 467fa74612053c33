import { asPrefaultError } from "../errors.ts";
import type { Model, Tensor } from "../model/model.ts";
import { openModel } from "../model/open-model.ts";
import type { PrefaultOptions } from "../options.ts";
import { type ModelPlan, placementOfNodeLlamaCpp, planPass } from "../passes/index.ts";
import type { NodeLlamaCppModel } from "../passes/llama/node-llama-cpp.ts";

/** What is to be loaded, as far as a sweep is concerned. */
export interface SweepSubject extends NodeLlamaCppModel {
  readonly modelPath: string;
  readonly vocabOnly?: boolean | undefined;
}

/** How it is swept. */
export interface SweepOptions extends PrefaultOptions {
  readonly label: string;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Why nothing is swept for a load; `undefined` when something is. */
export function whyNot({ vocabOnly, useDirectIo }: SweepSubject): string | undefined {
  if (vocabOnly === true) return "vocabOnly loads no weights";
  if (useDirectIo === true) return "useDirectIo goes past the page cache";
  return undefined;
}

/** @returns `undefined` while node-llama-cpp has not decided */
export async function planFor(
  subject: SweepSubject,
  model?: Model,
): Promise<ModelPlan | undefined | Error> {
  try {
    const placement = placementOfNodeLlamaCpp(subject);
    if (!placement.known) return undefined;
    return planPass(model ?? (await openModel(subject.modelPath)), placement.placement);
  } catch (error) {
    return asPrefaultError(error);
  }
}

/** The plan of what the load has decided. Not every loaded model shows its `lazyMode`: else that of the options. */
export function planForLoaded(
  { gpuLayers, lazyMode }: NodeLlamaCppModel,
  subject: SweepSubject,
  expected: ModelPlan | undefined,
): Promise<ModelPlan | undefined | Error> {
  const asked = lazyMode ?? subject.lazyMode;
  const decided = {
    modelPath: subject.modelPath,
    ...(gpuLayers !== undefined && { gpuLayers }),
    ...(asked !== undefined && { lazyMode: asked }),
  };
  return planFor(decided, expected?.model);
}

/** What of a plan was not part of the one before. */
export function without(actual: ModelPlan, expected: ModelPlan | undefined): ModelPlan {
  const key = ({ file, offset }: Tensor) => `${file}:${offset}`;
  const planned = expected?.runs.flatMap((run) => run.regions) ?? [];
  const swept = new Set(planned.map(({ tensor }) => key(tensor)));
  const runs = actual.runs.map((run) => ({
    ...run,
    regions: run.regions.filter(({ tensor }) => !swept.has(key(tensor))),
  }));
  return { ...actual, runs: runs.filter(({ regions }) => regions.length > 0) };
}

/** The options that a loaded model shows; none when it is something else. */
export function describedBy(loaded: unknown): NodeLlamaCppModel {
  return typeof loaded === "object" && loaded !== null ? (loaded as NodeLlamaCppModel) : {};
}
