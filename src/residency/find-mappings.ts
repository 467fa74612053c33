import { type FoundMapping, loadShim } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import { PrefaultError } from "../errors.ts";
import { asFileError } from "../file/open-file.ts";
import { expectPath, signalOf } from "../options.ts";
import type { ResidencyOptions } from "./residency.ts";

/**
 * The addresses at which this process has a file mapped, whoever mapped it, in ascending order. Each
 * is a target region for `prefault`, which then completes that very mapping in place:
 *
 * ```ts
 * await prefault(await findMappings("model.gguf"));
 * ```
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND`, `PREFAULT_PERMISSION`,
 *   `PREFAULT_INVALID_OPTION`, `PREFAULT_ABORTED`, and `PREFAULT_UNSUPPORTED` where the system has no way to say (anything but Linux so far)
 */
export async function findMappings(
  path: string,
  options: ResidencyOptions = {},
): Promise<readonly FoundMapping[]> {
  const signal = signalOf(options);
  expectPath(path);
  const shim = await loadShim();
  const found = await abortable(signal, shim.findMappings(path)).catch((error: unknown) => {
    throw asFileError(error, path);
  });
  if (found !== null)
    return found.map(({ address, byteLength, offset }) => ({ address, byteLength, offset }));
  throw new PrefaultError(
    "PREFAULT_UNSUPPORTED",
    `the ${shim.name} shim cannot tell where ${path} is mapped`,
    { path },
  );
}
