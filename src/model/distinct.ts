import { PrefaultError } from "../errors.ts";
import type { Tensor } from "./model.ts";

/**
 * A name stands for one tensor: an engine would take the one, and we might fill the other.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL`
 */
export function expectDistinct(tensors: readonly Tensor[], path: string): void {
  const seen = new Set<string>();
  for (const { name } of tensors) {
    if (seen.has(name)) {
      throw new PrefaultError("PREFAULT_INVALID_MODEL", `${path} has two tensors ${name}`, {
        path,
      });
    }
    seen.add(name);
  }
}
