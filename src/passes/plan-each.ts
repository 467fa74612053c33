import { PrefaultError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import type { FailedPath, OpenedModels } from "../model/open-models.ts";
import type { ModelPlan } from "./pass.ts";

/** Plans of a set of models, as far as there are any. */
export interface PlannedModels {
  readonly plans: readonly ModelPlan[];
  readonly failures: readonly FailedPath[];
  /** About the set or the pasted line; each plan has notes of its own. */
  readonly notes: readonly string[];
}

/**
 * Plans each of a set of models. One that cannot be planned is reported with its name, and the others are
 * planned all the same.
 *
 * @throws {@link PrefaultError} for an option that cannot be, and for the only model of a set
 */
export async function planEach(
  { models, failures, notes }: OpenedModels,
  plan: (model: Model) => Promise<ModelPlan>,
): Promise<PlannedModels> {
  const plans: ModelPlan[] = [];
  const failed = [...failures];
  for (const model of models) {
    try {
      plans.push(await plan(model));
    } catch (thrown) {
      if (!PrefaultError.is(thrown) || thrown.code === "PREFAULT_INVALID_OPTION") throw thrown;
      const path = model.files[0]?.path ?? "";
      const error = withPath(thrown, path);
      if (models.length + failures.length === 1) throw error;
      failed.push({ path, error });
    }
  }
  return { plans, failures: failed, notes };
}

/** An error that names the file it is about. */
function withPath(error: PrefaultError, path: string): PrefaultError {
  if (error.path !== undefined || error.message.includes(path)) return error;
  const { code, message, errno, offset } = error;
  return new PrefaultError(code, `${path}: ${message}`, { path, errno, offset, cause: error });
}
