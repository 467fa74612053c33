import { mappedModelFiles, noMappedModel } from "../beside/mapped-models.ts";
import { formatBytes } from "../units.ts";
import type { Flags } from "./flags.ts";
import { requireOperands } from "./operands.ts";

/** Files to open, and what is to be said of them. */
export interface Operands {
  readonly operands: readonly string[];
  readonly notes: readonly string[];
}

/**
 * The files that were given, and those that the process of `--pid` has mapped.
 *
 * @throws {@link PrefaultError} as {@link mappedModelFiles} and {@link requireOperands}; `PREFAULT_NOT_FOUND`
 *   for a process that has mapped no model
 */
export async function operandsOf(files: readonly string[], flags: Flags): Promise<Operands> {
  const { pid, model } = flags;
  if (pid === undefined) return { operands: requireOperands(files, flags), notes: [] };
  const mapped = await mappedModelFiles(pid);
  if (mapped.length === 0) throw noMappedModel(pid);
  const given = model === undefined ? files : [...files, model];
  return {
    operands: [...given, ...mapped.map(({ path }) => path)],
    notes: mapped.map(
      ({ path, mappedBytes }) => `process ${pid} has mapped ${formatBytes(mappedBytes)} of ${path}`,
    ),
  };
}
