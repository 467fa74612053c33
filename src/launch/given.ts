import { PrefaultError } from "../errors.ts";
import type { OptionName, OptionSpec } from "./options.ts";

/** One use of an option. */
export interface Given {
  /** For an option without a value `"1"`, or `"0"` for its negation. */
  readonly value: string;
  /** The flag, variable or key that gave it, for messages: `-ngl`, `LLAMA_ARG_N_GPU_LAYERS`, `[section] n-gpu-layers`. */
  readonly by: string;
  /** Its place within its source: the order of `-ot` and `--cpu-moe` matters. */
  readonly at: number;
}

/** The options that one source gives: the words, the environment, or a section of a file. */
export type Source = ReadonlyMap<OptionName, readonly Given[]>;

/** Texts that mean yes. */
export const TRUE = new Set(["1", "true", "on", "enabled"]);
/** Texts that mean no. */
export const FALSE = new Set(["0", "false", "off", "disabled"]);

/** Reads a boolean as llama.cpp does, in capital letters too. @throws `PREFAULT_INVALID_OPTION` */
export function parseBoolean(text: string, by: string): boolean {
  const small = text.trim().toLowerCase();
  if (TRUE.has(small)) return true;
  if (FALSE.has(small)) return false;
  throw usage(`${by} is ${JSON.stringify(text)}: it must be 1, true, on, 0, false or off`);
}

/** @throws `PREFAULT_INVALID_OPTION` */
export function parseWhole({ value, by }: Given): number {
  const number = Number(value);
  if (/^[-+]?\d+$/.test(value.trim()) && Number.isSafeInteger(number)) return number;
  throw usage(`${by} is ${JSON.stringify(value)}: it must be a whole number`);
}

export function usage(message: string, cause?: unknown): PrefaultError {
  return new PrefaultError("PREFAULT_INVALID_OPTION", message, { cause });
}

/** The values in one value of an option: several only for a `list`. */
export function listed(value: string, spec: OptionSpec): string[] {
  return spec.takes === "list" ? value.split(",").filter((each) => each !== "") : [value];
}
