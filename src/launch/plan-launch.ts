import { PrefaultError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import { type FailedPath, openModels } from "../model/open-models.ts";
import {
  type ModelPlan,
  type PassName,
  type PlannedModels,
  planEach,
  planPass,
} from "../passes/index.ts";
import type { Launch, LaunchContext, LaunchPart } from "./launch.ts";
import { readLaunch } from "./read-launch.ts";

/** The plans of the files that a command line loads, and what was read in the line. */
export interface PlannedLaunch extends PlannedModels {
  readonly launch: Launch;
}

/**
 * Reads an engine's command line, and plans each file that it loads by its own part.
 *
 * @param engine whose rules to take in place of those of the line's own engine
 * @throws {@link PrefaultError} what {@link readLaunch} throws, and for the only file of a line
 */
export async function planLaunch(
  line: readonly string[],
  context: LaunchContext,
  engine?: PassName,
): Promise<PlannedLaunch> {
  const { signal } = context;
  const launch = await readLaunch(line, context);
  const planned = new Set<string>();
  const plans: ModelPlan[] = [];
  const failures: FailedPath[] = [];
  const notes = [...launch.notes];
  for (const part of launch.parts) {
    // The only file of a line fails like the only operand; one of several is reported beside the others.
    const opened = await openModels([part.path], { signal }).catch((thrown: unknown) => {
      if (launch.parts.length === 1 || !PrefaultError.is(thrown) || signal?.aborted) throw thrown;
      return { models: [], failures: [{ path: part.path, error: thrown }], notes: [] };
    });
    const found = await planEach(opened, async (model) => {
      const plan = planPart(model, part, engine);
      const runs = withoutPlanned(plan, planned);
      return { ...plan, runs, notes: [...plan.notes, ...part.notes] };
    });
    plans.push(...found.plans);
    failures.push(...found.failures);
    notes.push(...found.notes);
  }
  const [only] = failures;
  if (plans.length === 0 && failures.length === 1 && only !== undefined) throw only.error;
  return { launch, plans, failures, notes };
}

/**
 * Plans what a command loads. A script does not say it: of a line that cannot be read, the files that were given
 * for it are planned by themselves.
 *
 * @throws {@link PrefaultError} as {@link planLaunch}, when no files were given, and what `planFiles` throws
 */
export async function planCommand(
  line: readonly string[],
  context: LaunchContext,
  engine: PassName | undefined,
  planFiles: (files: readonly string[]) => Promise<PlannedModels>,
): Promise<PlannedModels & { readonly launch?: Launch }> {
  const { operands = [] } = context;
  try {
    return await planLaunch(line, context, engine);
  } catch (error) {
    const isUnknown = PrefaultError.is(error) && error.code === "PREFAULT_INVALID_OPTION";
    if (operands.length === 0 || !isUnknown) throw error;
    return planFiles(operands);
  }
}

/** A tensor that two parts leave on the CPU is warmed once. */
function withoutPlanned({ model, runs }: ModelPlan, planned: Set<string>) {
  const identities = model.files.map(({ identity, path }) => identity ?? path);
  const isNew = (file: number, offset: number) => {
    const key = `${identities[file]}@${offset}`;
    return !planned.has(key) && planned.add(key);
  };
  return runs
    .map((run) => ({
      ...run,
      regions: run.regions.filter(({ tensor }) => isNew(tensor.file, tensor.offset)),
    }))
    .filter(({ regions }) => regions.length > 0);
}

/** What the engine reads whole is planned whole. */
function planPart(model: Model, { role, placement, pass }: LaunchPart, own?: PassName): ModelPlan {
  if (placement !== undefined) return planPass(model, placement, own ?? pass);
  const label = role === "companion" || role === "other" ? "whole file" : role;
  const regions = model.tensors.map((tensor) => ({ tensor, reason: `${label}, read at load` }));
  return {
    model,
    pass,
    runs: [{ name: "core", label, gate: "fits-in-free-ram", regions }],
    elsewhere: [],
    notes: [],
  };
}
