import { bundle } from "../bundle.ts";
import { runProgram } from "../process.ts";
import type { RoutingOutcome, RoutingTask } from "./measure-routing.ts";
import { countSelections, describeRouting, type Routing } from "./routing.ts";

/** The routing of one half of the prompts, and what a profile of the other half would say. */
export interface MeasuredRouting {
  readonly routing: Routing;
  readonly profile: {
    /** Tokens that were counted. */
    readonly samples: number;
    /** By layers and experts. */
    readonly weights: readonly (readonly number[])[];
  };
}

/** Prompts that have little in common: the first of each pair is judged, the second makes the profile. */
const PROMPTS = [
  "the quick brown fox",
  "import numpy as np",
  "In 1969 men landed",
  "SELECT * FROM users",
  "Dear Sir or Madam,",
  "def main(argv):",
  "Once upon a time",
  "E = mc^2 implies",
];

/** What the profile is made of. */
export const OTHER_PROMPTS = PROMPTS.filter((_, index) => index % 2 === 1);

/** Loads a model in a process of its own and sees which experts its tokens use. @param tokens a prompt */
export async function measureRouting(
  path: string,
  engine: string,
  tokens: number,
): Promise<MeasuredRouting> {
  const task: RoutingTask = { path, engine, prompts: PROMPTS, tokens };
  const script = await bundle("bench/engine/measure-routing.ts");
  const { stdout } = await runProgram(process.execPath, [script, JSON.stringify(task)]);
  const { experts, runs } = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as RoutingOutcome;
  const half = (rest: number) =>
    runs.filter(({ prompt }) => prompt % 2 === rest).map(({ selections }) => selections);
  const profiled = half(1).flat();
  const weights = countSelections(profiled, experts);
  return {
    routing: describeRouting(half(0), experts, weights),
    profile: { samples: profiled.length, weights },
  };
}
