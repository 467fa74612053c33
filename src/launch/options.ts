/** What a command line can say that matters for what is loaded and where it goes. */
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
 * What follows a flag.
 *
 * - `value`: the next word, whatever it looks like.
 * - `list`: the same, and one value may hold several with commas between.
 * - `nothing`: nothing; the flag or its negation is all.
 * - `maybe`: the next word, when it looks like a value.
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
  /** Variables that say no by being there, whatever their value. */
  readonly offEnv: readonly string[];
  /** For `maybe`: what the flag alone means. @defaultValue `"1"` */
  readonly alone: string;
}

/** All that is known of an engine's flags. */
export interface OptionTable {
  readonly options: ReadonlyMap<OptionName, OptionSpec>;
  /** Flags without any bearing on placement that take a value: it must not be read as a flag. */
  readonly otherValued: ReadonlySet<string>;
  /** Flags that sound like placement and have no bearing on it. */
  readonly otherBare: ReadonlySet<string>;
}

/** Flags in one string, those after a slash say no; variables the same, without their prefix. */
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

export function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

/** Long flags take underscores for dashes, in every engine here. */
export function spelling(flag: string): string {
  return flag.startsWith("--") ? flag.replaceAll("_", "-") : flag;
}
