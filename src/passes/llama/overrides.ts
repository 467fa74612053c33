import { PrefaultError } from "../../errors.ts";
import type { TensorIndex } from "../gguf/tensor-index.ts";
import { parseTensorName } from "../gguf/tensor-names.ts";

/** One `-ot REGEX=BUFFER`, as plain data. */
export interface TensorOverride {
  /** ECMAScript, unanchored: matched anywhere in a tensor's name. The user's own, run as it is. */
  readonly pattern: string;
  /** The name of a backend's buffer type, such as `CPU` or `CUDA0`. Upper and lower case differ. */
  readonly buffer: string;
  /**
   * What a pattern that matches no tensor is: a mistake, or a note in the plan. llama.cpp lets it
   * pass, so a line that an engine was started with may hold one.
   * @defaultValue `"refuse"`
   */
  readonly unmatched?: "refuse" | "note";
}

/** One entry of the list of which the first that matches wins. */
export interface OverrideRule {
  /** As the user knows it. */
  readonly source: string;
  readonly buffer: string;
  /** What it is when it matches nothing: a mistake, worth a note, or nothing to speak of. */
  readonly unmatched: "refuse" | "note" | "ignore";
  matches(name: string): boolean;
}

/** llama.cpp's `--cpu-moe`: routed experts, not shared ones. */
const ROUTED_EXPERTS = /\.ffn_(up|down|gate|gate_up)_(ch|)exps/;

/** llama.cpp's `--n-cpu-ffn`: not the experts, whose names go on after `gate`, `up` and `down`. */
const DENSE_FFN = /\.ffn_(up|down|gate)\./;

/** Buffers of one device each, which are numbered. */
const NUMBERED = "CUDA|ROCm|HIP|MUSA|Vulkan|SYCL|CANN|Kompute|HTP|MTL";
/** Buffers of a backend that has one device, or that numbers them only when there are several. */
const NAMED = "Metal|OpenCL|GPUOpenCL|WebGPU|OPENVINO|zDNN|BLAS";
/** Buffers in the memory of the CPU. */
const OF_CPU = "CPU|CPU_REPACK|CPU_AARCH64|CPU_KLEIDIAI|CPU_HBM|AMX";

/**
 * The names that llama.cpp's backends give to buffer types. llama.cpp compares with the names of the
 * devices that it found, letter by letter, and refuses to start for any other; which devices there
 * are is not known here, so every name that some build has is taken.
 */
const BUFFER_TYPE = new RegExp(
  `^(?:${OF_CPU}|(?:${NUMBERED})\\d+|(?:${NAMED})\\d*|(?:${NUMBERED}|${NAMED})\\d*_(?:Host|Split|Private)|RPC\\d*\\[.+\\]|RPC\\d+)$`,
);

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

/**
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for a pattern that is no regex, or a buffer
 *   type that no backend of llama.cpp has
 */
export function overrideRule(override: TensorOverride): OverrideRule {
  const { pattern, buffer, unmatched = "refuse" } = override;
  const regex = compile(pattern);
  if (!BUFFER_TYPE.test(buffer)) {
    throw new PrefaultError(
      "PREFAULT_INVALID_OPTION",
      `the tensor override ${JSON.stringify(`${pattern}=${buffer}`)} is invalid: llama.cpp has no ` +
        `buffer type ${JSON.stringify(buffer)}; it has CPU, CUDA0, Vulkan0, ROCm0, SYCL0, Metal and the like`,
    );
  }
  return { source: pattern, buffer, unmatched, matches: (name) => regex.test(name) };
}

/** `--cpu-moe`. On a dense model it matches nothing, which llama.cpp lets pass. */
export const cpuMoeRule: OverrideRule = {
  source: "--cpu-moe",
  buffer: "CPU",
  unmatched: "ignore",
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
    unmatched: "ignore",
    matches: (name) => pattern.test(name) && (parseTensorName(name).block ?? Infinity) < blocks,
  };
}

/** What the rules come to for one model. */
export interface ResolvedOverrides {
  /** For each tensor that a rule matches the first one that does. */
  readonly winners: ReadonlyMap<string, OverrideRule>;
  /** Sentences about patterns that match nothing. */
  readonly notes: readonly string[];
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
): ResolvedOverrides {
  const winners = new Map<string, OverrideRule>();
  for (const { name } of index.tensors) {
    const winner = rules.find((rule) => rule.matches(name));
    if (winner !== undefined) winners.set(name, winner);
  }
  const used = new Set(winners.values());
  const notes: string[] = [];
  for (const rule of rules) {
    if (rule.unmatched === "ignore" || used.has(rule)) continue;
    if (index.tensors.some(({ name }) => rule.matches(name))) continue;
    const problem = `the pattern ${JSON.stringify(rule.source)} matches no tensor of this model`;
    if (rule.unmatched === "refuse") throw new PrefaultError("PREFAULT_UNKNOWN_TENSOR", problem);
    notes.push(problem);
  }
  return { winners, notes };
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
