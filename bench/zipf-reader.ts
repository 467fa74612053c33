import { writeFileSync } from "node:fs";
import type { Profile } from "../src/experts/profile.ts";
import { openModel } from "../src/model/open-model.ts";
import type { Tools } from "./compile.ts";
import { expertSlices } from "./engine/expert-slices.ts";
import { countedProfile } from "./engine/profile.ts";
import { runProgram } from "./process.ts";
import { countTokens, type ZipfOptions, zipfRouter } from "./zipf.ts";

/** What a reader that chooses experts by Zipf's law is asked for. */
export interface ZipfTask extends Pick<ZipfOptions, "s" | "seed"> {
  /** A GGUF mixture of experts of one file. */
  readonly path: string;
  readonly tokens: number;
  /** Experts a token uses in each layer. @defaultValue what the model says */
  readonly used?: number;
}

/** Seconds, but for the counts. */
export interface ZipfOutcome {
  readonly firstToken: number;
  /** All of tokens 1 to 5. */
  readonly firstFive: number;
  /** Of all tokens but the first five. */
  readonly tokensPerSecond: number;
  readonly tokens: readonly number[];
  readonly minorFaults: number;
  readonly majorFaults: number;
}

/** Draws of the tokens that are timed, of those that the profile is made of, and of an earlier run. */
const DRAWS = { timed: 1, profiled: 2, earlier: 3 } as const;

/**
 * What each token reads: a row of the embedding, the rest of the core, and its experts, layer by layer.
 * Written before the timing, so that several methods are timed over the same tokens.
 *
 * @param draws "earlier" for other tokens of the same popularity
 */
export async function writeZipfTokens(
  task: ZipfTask,
  list: string,
  draws: keyof typeof DRAWS = "timed",
): Promise<void> {
  const { model, layers, shape } = await modelOf(task);
  const router = zipfRouter({ ...shape, s: task.s, seed: task.seed, draws: DRAWS[draws] });
  const words: number[] = [];
  for (let token = 0; token < task.tokens; token++) {
    const ranges: { offset: number; byteLength: number }[] = [];
    const chosen = router.next();
    for (const { name, offset, byteLength, shape: dimensions } of model.tensors) {
      if (/_exps\.weight$/.test(name)) continue;
      const rows = name.startsWith("token_embd.") ? (dimensions[1] ?? 1) : 1;
      // Aligned, as every tensor is; which row a token reads does not matter here.
      ranges.push({ offset, byteLength: byteLength / rows });
    }
    layers.forEach(({ experts }, index) => {
      for (const expert of chosen[index] ?? []) ranges.push(...(experts[expert] ?? []));
    });
    ranges.sort((a, b) => a.offset - b.offset);
    words.push(ranges.length, ...ranges.flatMap(({ offset, byteLength }) => [offset, byteLength]));
  }
  writeFileSync(list, new BigUint64Array(words.map((word) => BigInt(Math.floor(word)))));
}

/** The same popularity seen through other tokens. */
export async function zipfProfile(task: ZipfTask, tokens: number): Promise<Profile> {
  const { model, shape } = await modelOf(task);
  const router = zipfRouter({ ...shape, s: task.s, seed: task.seed, draws: DRAWS.profiled });
  return countedProfile(model, countTokens(router, tokens, shape.experts), tokens);
}

/**
 * Reads the tokens of a list in a fresh process through a shared read-only mapping of its own.
 *
 * @param cgroup `cgroup.procs` of the group whose memory it uses
 */
export async function readZipfTokens(
  tools: Tools,
  path: string,
  list: string,
  cgroup?: string,
): Promise<ZipfOutcome> {
  if (tools.missing !== undefined) throw new Error(tools.missing);
  const { stdout } = await runProgram(tools.path("decode"), [path, list, "1"], { cgroup });
  const { passes, minorFaults, majorFaults } = JSON.parse(stdout) as {
    passes: number[][];
    minorFaults: number;
    majorFaults: number;
  };
  const tokens = (passes[0] ?? []).map((ms) => ms / 1000);
  const later = tokens.slice(5);
  return {
    firstToken: tokens[0] ?? Number.NaN,
    firstFive: sum(tokens.slice(0, 5)),
    tokensPerSecond: later.length / sum(later),
    tokens,
    minorFaults,
    majorFaults,
  };
}

async function modelOf({ path, used }: ZipfTask) {
  const model = await openModel(path);
  const { layers } = expertSlices(model);
  const architecture = String(model.metadata["general.architecture"]);
  const shape = {
    layers: layers.length,
    experts: layers[0]?.experts.length ?? 0,
    used: used ?? Number(model.metadata[`${architecture}.expert_used_count`]),
  };
  return { model, layers, shape };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
