import type { Launch } from "../launch/index.ts";
import type { HealthUrl } from "./health.ts";

/** When to warm, beside a command that was started. */
export type Moment =
  /** At once: the engine reads the same bytes, or none. */
  | { readonly when: "beside"; readonly why: string }
  /** When the engine has read its model: it would evict what was warmed before. */
  | {
      readonly when: "ready";
      readonly why: string;
      readonly urls: readonly HealthUrl[];
      /** Whether the user gave the URL. */
      readonly isGiven: boolean;
    };

/** What the moment depends on. */
export interface MomentQuestion {
  /** `undefined` for a command that is not known to be an engine's. */
  readonly launch: Pick<Launch, "defersExperts" | "warmsUp"> | undefined;
  /** Whether a part of the model is warmed, because not all of it fits or a budget says so. */
  readonly isPart: boolean;
  readonly urls: readonly HealthUrl[];
  readonly isGiven: boolean;
}

/** Decides when to warm. */
export function decideMoment({ launch, isPart, urls, isGiven }: MomentQuestion): Moment {
  if (isGiven) return { when: "ready", why: "--after says so", urls, isGiven };
  if (!isPart) return { when: "beside", why: "all of it fits in memory" };
  if (launch?.defersExperts === true && !launch.warmsUp) {
    return { when: "beside", why: "the engine does not read its experts at its start" };
  }
  const why = "the engine reads the whole model at its start, which evicts what was warmed before";
  return { when: "ready", why, urls, isGiven };
}

/** Flags that would let a part be warmed beside the start; `undefined` where there are none. */
export function flagsForAnEarlierMoment(
  launch: Pick<Launch, "engine" | "defersExperts" | "warmsUp"> | undefined,
): string | undefined {
  if (launch?.engine !== "ik_llama.cpp") return undefined;
  const { defersExperts, warmsUp } = launch;
  if (defersExperts && !warmsUp) return undefined;
  return [defersExperts ? "" : "--defer-experts", warmsUp ? "--no-warmup" : ""].join(" ").trim();
}
