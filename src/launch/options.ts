/** The options that decide which files are loaded and where the weights go. */
export type OptionName =
  | "apiPrefix"
  | "batch"
  | "cacheTypeK"
  | "cacheTypeV"
  | "companion"
  | "config"
  | "controlVector"
  | "cpuMoe"
  | "cpuOnly"
  | "ctx"
  | "deferExperts"
  | "device"
  | "directIo"
  | "dockerRepo"
  | "draftCpuMoe"
  | "draftDevice"
  | "draftGpuLayers"
  | "draftHfRepo"
  | "draftModel"
  | "draftNCpuMoe"
  | "draftOverrideTensor"
  | "fit"
  | "fitCtx"
  | "fitTarget"
  | "flashAttn"
  | "gpu"
  | "gpuLayers"
  | "hfFile"
  | "hfRepo"
  | "host"
  | "hugePages"
  | "kvOffload"
  | "lazyMode"
  | "loadMode"
  | "lora"
  | "mainGpu"
  | "mergeQkv"
  | "mergeUpGate"
  | "mlock"
  | "mmap"
  | "mmproj"
  | "mmprojAuto"
  | "mmprojDevice"
  | "mmprojOffload"
  | "mmprojUrl"
  | "model"
  | "modelUrl"
  | "modelsDir"
  | "modelsPreset"
  | "moeCache"
  | "mtp"
  | "nCpuFfn"
  | "nCpuMoe"
  | "noHost"
  | "numa"
  | "overrideTensor"
  | "port"
  | "repack"
  | "runTimeRepack"
  | "specType"
  | "splitMode"
  | "tensorSplit"
  | "ubatch"
  | "warmup";

/**
 * The values of a flag.
 *
 * - `value`: the next word, also when it begins with a dash.
 * - `list`: the same, and the word may hold several values with commas between.
 * - `nothing`: no value.
 * - `maybe`: the next word, if it looks like a value.
 * - `many`: all words up to the next flag.
 */
export type Takes = "value" | "list" | "nothing" | "maybe" | "many";

/** How an engine spells an option. */
export interface OptionSpec {
  readonly takes: Takes;
  readonly flags: readonly string[];
  /** Flags that say no. */
  readonly off: readonly string[];
  /** Environment variables of the same meaning. */
  readonly env: readonly string[];
  /** Variables that say no, whatever their value is. */
  readonly offEnv: readonly string[];
  /** For `maybe`: what the flag alone means. @defaultValue `"1"` */
  readonly alone: string;
}

/** The flags of an engine. */
export interface OptionTable {
  readonly options: ReadonlyMap<OptionName, OptionSpec>;
  /** Flags with a value and no effect on placement. Their values must not be read as flags. */
  readonly otherValued: ReadonlySet<string>;
  /** Flags without a value whose names seem to concern placement and do not. */
  readonly otherBare: ReadonlySet<string>;
}

/** Makes an option. @param flags those after a slash say no @param env variables without their prefix */
export function option(
  takes: Takes,
  flags: string,
  env = "",
  { prefix = "LLAMA_ARG_", alone = "1" } = {},
): OptionSpec {
  const [on = "", off = ""] = flags.split("/");
  const names = words(env);
  return {
    takes,
    flags: words(on).map(spelling),
    off: words(off).map(spelling),
    env: names.map((name) => prefix + name),
    offEnv: off === "" ? [] : names.map((name) => `${prefix}NO_${name}`),
    alone,
  };
}

/** Makes the table of an engine. @param otherValued flags with white space between, as `otherBare` */
export function table(
  options: Partial<Record<OptionName, OptionSpec>>,
  otherValued: string,
  otherBare = "",
): OptionTable {
  return {
    options: new Map(Object.entries(options) as [OptionName, OptionSpec][]),
    otherValued: new Set(words(otherValued)),
    otherBare: new Set(words(otherBare)),
  };
}

export function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

/** A flag with dashes for underscores, which all of these engines accept in long flags. */
export function spelling(flag: string): string {
  return flag.startsWith("--") ? flag.replaceAll("_", "-") : flag;
}
