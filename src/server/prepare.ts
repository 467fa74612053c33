import { FileSet } from "../file/file-set.ts";
import type { Launch } from "../launch/index.ts";
import type { FailedPath } from "../model/open-models.ts";
import type { ResolvedOptions } from "../options.ts";
import type { ModelPlan } from "../passes/index.ts";
import { type ArrangedTarget, isPartial } from "../run/arrange.ts";
import { openTarget } from "../run/prefault.ts";
import { AutoProfile } from "./auto-profile.ts";
import { healthUrls } from "./health.ts";
import { decideMoment, type Moment } from "./moment.ts";
import { afterUrl, type ServerOptions } from "./options.ts";

/** What a command loads. */
export interface PlannedCommand {
  /** `undefined` for a command that is not known to be an engine's. */
  readonly launch?: Launch;
  readonly plans: readonly ModelPlan[];
  readonly failures: readonly FailedPath[];
  readonly notes: readonly string[];
}

/** Reads a command line, and plans what it loads. */
export type PlanCommand = (signal: AbortSignal) => Promise<PlannedCommand>;

/** What is to be done for a command, and when; nothing is filled yet. */
export interface Prepared extends PlannedCommand {
  /** With the profile that was recorded at earlier starts, where one is used. */
  readonly options: ResolvedOptions;
  /** As memory allows now; it is looked at again before anything is filled. */
  readonly arranged: ArrangedTarget;
  readonly moment: Moment;
  readonly auto: AutoProfile | null;
}

/**
 * Plans a command, and decides when to warm.
 *
 * @returns `null` when no file that it loads is known
 * @throws {@link PrefaultError} what planning, the profile and `after` can be refused for
 */
export async function prepare(
  planCommand: PlanCommand,
  given: ServerOptions,
  resolved: ResolvedOptions,
  signal: AbortSignal,
): Promise<Prepared | (PlannedCommand & { readonly arranged: null })> {
  const after = afterUrl(given);
  const planned = await planCommand(signal);
  const { launch, plans } = planned;
  if (plans.length === 0) return { ...planned, arranged: null };
  const auto = given.profile === "auto" ? await AutoProfile.open(plans) : null;
  const options: ResolvedOptions =
    auto === null
      ? resolved
      : { ...resolved, profile: auto.profile, budget: resolved.budget ?? "auto" };
  const files = new FileSet();
  const arranged = await openTarget(plans, options, files);
  await files.close();
  const urls = after === undefined ? (launch ? healthUrls(launch) : []) : [{ url: after }];
  const isGiven = after !== undefined;
  const moment = decideMoment({ launch, isPart: isPartial(arranged), urls, isGiven });
  return { ...planned, options, arranged, moment, auto };
}

/** The files of all plans. */
export function pathsOfPlans(plans: readonly ModelPlan[]): string[] {
  return plans.flatMap(({ model }) => model.files.map(({ path }) => path));
}
