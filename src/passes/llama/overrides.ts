import { PrefaultError } from "../../errors.ts";
import type { TensorIndex } from "../gguf/tensor-index.ts";
import { parseTensorName } from "../gguf/tensor-names.ts";

/** One `-ot REGEX=BUFFER`, as plain data. */
export interface TensorOverride {
  /** An ECMAScript regex, matched anywhere in a tensor's name. */
  readonly pattern: string;
  /** The name of a backend's buffer type, such as `CPU` or `CUDA0`. Upper and lower case differ. */
  readonly buffer: string;
  /**
   * What happens with a pattern that matches no tensor: an error, or a note in the plan. llama.cpp accepts
   * it, so a command line of an engine may have one.
   * @defaultValue `"refuse"`
   */
  readonly unmatched?: "refuse" | "note";
}

/** A rule of a list in which the first rule that matches wins. */
export interface OverrideRule {
  /** The flag or pattern, for messages. */
  readonly source: string;
  readonly buffer: string;
  /** What happens when it matches nothing: an error, a note, or nothing. */
  readonly unmatched: "refuse" | "note" | "ignore";
  matches(name: string): boolean;
}

/** llama.cpp's `--cpu-moe`: routed experts, not shared ones. */
const ROUTED_EXPERTS = /\.ffn_(up|down|gate|gate_up)_(ch|)exps/;

/** llama.cpp's `--n-cpu-ffn`. Names of experts continue after `gate`, `up` and `down`. */
const DENSE_FFN = /\.ffn_(up|down|gate)\./;

/** Buffers of backends that always number their devices. */
const NUMBERED = "CUDA|ROCm|HIP|MUSA|Vulkan|SYCL|CANN|Kompute|HTP|MTL";
/** Buffers of backends with one device, or that number devices only when there are several. */
const NAMED = "Metal|OpenCL|GPUOpenCL|WebGPU|OPENVINO|zDNN|BLAS";
/** Buffers in the memory of the CPU. */
const OF_CPU = "CPU|CPU_REPACK|CPU_AARCH64|CPU_KLEIDIAI|CPU_HBM|AMX";

/**
 * The names of buffer types of llama.cpp's backends. llama.cpp compares them exactly with those of the
 * devices that it finds, and does not start with any other. The devices are not known here, so every name
 * that some build has is accepted.
 */
const BUFFER_TYPE = new RegExp(
  `^(?:${OF_CPU}|(?:${NUMBERED})\\d+|(?:${NAMED})\\d*|(?:${NUMBERED}|${NAMED})\\d*_(?:Host|Split|Private)|RPC\\d*\\[.+\\]|RPC\\d+)$`,
);

/**
 * Parses the value of one `-ot`: `REGEX=BUFFER`, or several with commas between.
 *
 * As in llama.cpp a comma always separates, also inside `{1,2}`, and the first `=` ends the regex.
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

/** `--cpu-moe`. On a dense model it matches nothing, which llama.cpp accepts. */
export const cpuMoeRule: OverrideRule = {
  source: "--cpu-moe",
  buffer: "CPU",
  unmatched: "ignore",
  matches: (name) => ROUTED_EXPERTS.test(name),
};

/** `--n-cpu-moe N`: blocks 0 to N-1, while `-ngl` counts from the last block. One rule for any N. */
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

/** The result of the rules for one model. */
export interface ResolvedOverrides {
  /** For each tensor that a rule matches the first one that does. */
  readonly winners: ReadonlyMap<string, OverrideRule>;
  /** Remarks on patterns that match nothing, one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Finds for each tensor the first rule that matches.
 *
 * A pattern that matches only tensors of earlier rules is no error.
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
 * Compiles a pattern. llama.cpp uses C++'s `std::regex`, whose syntax differs from JavaScript's in two
 * points, which are refused: POSIX classes such as `[[:digit:]]`, and `(?<`.
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
