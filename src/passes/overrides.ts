import { PrefaultError } from "../errors.ts";
import type { TensorIndex } from "./tensor-index.ts";
import { parseTensorName } from "./vocabulary.ts";

/** One `-ot REGEX=BUFFER`, as plain data. */
export interface TensorOverride {
  /** ECMAScript, unanchored: matched anywhere in a tensor's name. The user's own, run as it is. */
  readonly pattern: string;
  /** The name of a backend's buffer type, such as `CPU` or `CUDA0`. */
  readonly buffer: string;
}

/** One entry of the list of which the first that matches wins. */
export interface OverrideRule {
  /** As the user knows it. */
  readonly source: string;
  readonly buffer: string;
  /** It must match something, or else it is a mistake. */
  readonly mustMatch: boolean;
  matches(name: string): boolean;
}

/** llama.cpp's `--cpu-moe`: routed experts, not shared ones. */
const ROUTED_EXPERTS = /\.ffn_(up|down|gate|gate_up)_(ch|)exps/;

/** llama.cpp's `--n-cpu-ffn`: not the experts, whose names go on after `gate`, `up` and `down`. */
const DENSE_FFN = /\.ffn_(up|down|gate)\./;

/**
 * Parses the value of one `-ot`: `REGEX=BUFFER`, or several with commas between.
 *
 * As llama.cpp does, a comma always separates, also inside `{1,2}`, and the first `=` divides.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`
 */
export function parseOverrides(value: string): TensorOverride[] {
  return value.split(",").map((entry) => {
    const equals = entry.indexOf("=");
    const pattern = entry.slice(0, Math.max(equals, 0));
    const buffer = entry.slice(equals + 1);
    if (equals < 0 || pattern === "" || buffer === "") {
      throw invalidPattern(entry, "expected REGEX=BUFFER (a comma separates, even inside a regex)");
    }
    compile(pattern);
    return { pattern, buffer };
  });
}

/** @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for a pattern that is no regex. */
export function overrideRule({ pattern, buffer }: TensorOverride): OverrideRule {
  const regex = compile(pattern);
  return { source: pattern, buffer, mustMatch: true, matches: (name) => regex.test(name) };
}

/** `--cpu-moe`. On a dense model it matches nothing, which llama.cpp lets pass. */
export const cpuMoeRule: OverrideRule = {
  source: "--cpu-moe",
  buffer: "CPU",
  mustMatch: false,
  matches: (name) => ROUTED_EXPERTS.test(name),
};

/** `--n-cpu-moe N`: blocks 0 to N-1, the other end from `-ngl`. One rule, however large N is. */
export function nCpuMoeRule(blocks: number): OverrideRule {
  return firstBlocksRule("--n-cpu-moe", ROUTED_EXPERTS, blocks);
}

/** `--n-cpu-ffn N`: the same for the dense feed-forward network. */
export function nCpuFfnRule(blocks: number): OverrideRule {
  return firstBlocksRule("--n-cpu-ffn", DENSE_FFN, blocks);
}

function firstBlocksRule(flag: string, pattern: RegExp, blocks: number): OverrideRule {
  return {
    source: `${flag} ${blocks}`,
    buffer: "CPU",
    mustMatch: false,
    matches: (name) => pattern.test(name) && (parseTensorName(name).block ?? Infinity) < blocks,
  };
}

/**
 * Finds for each tensor the first rule that matches.
 *
 * A pattern that matches tensors which earlier ones already took is no mistake.
 *
 * @throws {@link PrefaultError} `PREFAULT_UNKNOWN_TENSOR` for a pattern that matches no tensor.
 */
export function resolveOverrides(
  rules: readonly OverrideRule[],
  index: TensorIndex,
): Map<string, OverrideRule> {
  const winners = new Map<string, OverrideRule>();
  for (const { name } of index.tensors) {
    const winner = rules.find((rule) => rule.matches(name));
    if (winner !== undefined) winners.set(name, winner);
  }
  const used = new Set(winners.values());
  for (const rule of rules) {
    if (!rule.mustMatch || used.has(rule)) continue;
    if (index.tensors.some(({ name }) => rule.matches(name))) continue;
    throw new PrefaultError(
      "PREFAULT_UNKNOWN_TENSOR",
      `the pattern ${JSON.stringify(rule.source)} matches no tensor of this model`,
    );
  }
  return winners;
}

/**
 * llama.cpp compiles with C++'s `std::regex`. JavaScript's syntax is the same but for two: classes
 * such as `[[:digit:]]` mean something else here, and `(?<` does not exist there.
 */
function compile(pattern: string): RegExp {
  if (pattern.includes("[:") || pattern.includes("(?<")) {
    throw invalidPattern(pattern, "POSIX classes, look-behind and named groups are not supported");
  }
  try {
    // No `u` or `v` flag: they forbid escapes that std::regex allows.
    return new RegExp(pattern);
  } catch (cause) {
    throw invalidPattern(pattern, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function invalidPattern(pattern: string, problem: string, cause?: unknown): PrefaultError {
  return new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `the tensor override ${JSON.stringify(pattern)} is invalid: ${problem}`,
    { cause },
  );
}
