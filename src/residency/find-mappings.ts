import { type FoundMapping, loadShim } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import { PrefaultError } from "../errors.ts";
import { asFileError } from "../file/open-file.ts";
import { expectPath, signalOf } from "../options.ts";
import { filesMappedBy } from "./of-process.ts";
import type { ResidencyOptions } from "./residency.ts";

/** Whose mappings are looked for. */
export interface FindMappingsOptions extends ResidencyOptions {
  /**
   * The process, by its number. Addresses of another process mean nothing in this one: they are no target
   * for `prefault`.
   *
   * @defaultValue this process
   */
  readonly pid?: number | undefined;
}

/**
 * The addresses at which this process, or another one of the same user, has a file mapped, whoever mapped
 * it, in ascending order. Each of this process is a target region for `prefault`, which then completes that
 * very mapping in place:
 *
 * ```ts
 * await prefault(await findMappings("model.gguf"));
 * ```
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND` without such a file or process, `PREFAULT_PERMISSION` also
 *   for another user's process, `PREFAULT_INVALID_OPTION`, `PREFAULT_ABORTED`, and `PREFAULT_UNSUPPORTED`
 *   where the system has no way to say (anything but Linux so far)
 */
export async function findMappings(
  path: string,
  options: FindMappingsOptions = {},
): Promise<readonly FoundMapping[]> {
  const signal = signalOf(options);
  expectPath(path);
  const { pid } = options;
  // A shim finds no mapping of a process that may not be looked at.
  if (pid !== undefined) await abortable(signal, filesMappedBy(pid));
  const shim = await loadShim();
  const found = await abortable(signal, shim.findMappings(path, pid)).catch((error: unknown) => {
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
