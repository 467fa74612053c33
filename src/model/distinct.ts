import { PrefaultError } from "../errors.ts";
import type { Tensor } from "./model.ts";

/**
 * Refuses two tensors of one name: an engine might read the one and this package fill the other.
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
