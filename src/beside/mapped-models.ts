import { stat } from "node:fs/promises";
import type { MappedFile } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import { PrefaultError } from "../errors.ts";
import { processTree } from "../hold/process-tree.ts";
import { beginsLikeModel } from "../model/begins-like-model.ts";
import { signalOf } from "../options.ts";
import { filesMappedBy } from "../residency/of-process.ts";
import type { ResidencyOptions } from "../residency/residency.ts";

/** A model's file that a process has mapped. */
export interface MappedModelFile {
  /** As this process can open it. */
  readonly path: string;
  /** Bytes of addresses over it: less than the file has where the engine has unmapped what it copied. */
  readonly mappedBytes: number;
}

/**
 * The model files (GGUF, safetensors) that an engine's process has mapped, or a process that it started. Linux
 * only.
 *
 * ```ts
 * await using kept = keepWarm(await findMappedModels(pid), { pid });
 * ```
 *
 * @returns their paths; empty where it has mapped none, as with `--no-mmap` or before it loads
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND` without such a process, `PREFAULT_PERMISSION` for another
 *   user's, `PREFAULT_UNSUPPORTED` on other systems, `PREFAULT_INVALID_OPTION`, `PREFAULT_ABORTED`
 */
export async function findMappedModels(
  pid: number,
  options: ResidencyOptions = {},
): Promise<readonly string[]> {
  const found = await abortable(signalOf(options), mappedModelFiles(pid));
  return found.map(({ path }) => path);
}

/** The same with how much of each is mapped. @throws {@link PrefaultError} as {@link findMappedModels} */
export async function mappedModelFiles(pid: number): Promise<MappedModelFile[]> {
  const own = await filesMappedBy(pid);
  const [, ...children] = await processTree(pid);
  const models = new Map<string, MappedModelFile>();
  const add = async (owner: number, files: readonly MappedFile[]) => {
    for (const file of files) {
      const path = await pathHere(owner, file);
      if (path === undefined || !(await beginsLikeModel(path))) continue;
      const known = models.get(path)?.mappedBytes ?? 0;
      models.set(path, { path, mappedBytes: Math.max(known, file.byteLength) });
    }
  };
  await add(pid, own);
  // A child may end meanwhile, or be of another user.
  for (const child of children) await add(child, await filesMappedBy(child).catch(() => []));
  return [...models.values()];
}

/**
 * The path by which this process reaches a file that another has mapped. In a container of its own the other
 * has names of its own. `undefined` for a file that is deleted.
 */
async function pathHere(pid: number, { paths, ino }: MappedFile): Promise<string | undefined> {
  for (const each of [...paths, ...paths.map((path) => `/proc/${pid}/root${path}`)]) {
    const found = await stat(each, { bigint: true }).catch(() => undefined);
    // The device is not compared: btrfs and overlay show another one in /proc than stat gives.
    if (found?.ino === ino && found.isFile()) return each;
  }
  return undefined;
}

/** That a process has mapped no model. */
export function noMappedModel(pid: number): PrefaultError {
  return new PrefaultError(
    "PREFAULT_NOT_FOUND",
    `process ${pid} has mapped no model: it has not loaded one yet, or it copied it (--no-mmap)`,
  );
}
