import { PrefaultError } from "../errors.ts";
import { fileIdentity } from "../files.ts";
import type { Model } from "../model/model.ts";
import { openModels } from "../target.ts";
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

/** The models of the operands, each once: a shell's `model-*.gguf` names every shard of one. */
export async function openOperands(operands: readonly string[]): Promise<Model[]> {
  const distinct = new Map<string, Model>();
  for (const model of await openModels(operands)) {
    const identity = await fileIdentity(model.files[0]?.path ?? "");
    if (!distinct.has(identity)) distinct.set(identity, model);
  }
  return [...distinct.values()];
}
