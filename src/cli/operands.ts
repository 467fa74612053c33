import { PrefaultError } from "../errors.ts";
import type { Flags } from "./flags.ts";

/**
 * The files that were given. None is enough beside a pasted line, which names its own.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`
 */
export function requireOperands(
  files: readonly string[],
  { model, line }: Flags,
): readonly string[] {
  if (files.length > 0 || (line !== undefined && model === undefined)) return files;
  if (model !== undefined) return [model];
  throw new PrefaultError("PREFAULT_INVALID_OPTION", "no file given; see prefault --help");
}
