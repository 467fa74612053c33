import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { openModels } from "../../../src/model/open-models.ts";
import { ggufBytes, stringEntry, tensorInfo } from "../../helpers/gguf-bytes.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

/** Writes files, with the folders that they lie in. @returns the folder of all */
export type WriteTree = (files: Readonly<Record<string, Buffer | string>>) => string;

/** A way to write trees that last as long as the tests of the file. */
export function trees(): WriteTree {
  const root = temporaryFolder();
  let folders = 0;
  return (files) => {
    const folder = join(root, String(folders++));
    mkdirSync(folder);
    for (const [name, contents] of Object.entries(files)) {
      const path = join(folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, contents);
    }
    return folder;
  };
}

export const model = (name = "t") =>
  ggufBytes({
    entries: [stringEntry("general.architecture", "llama")],
    tensors: [tensorInfo({ name })],
  });
const ofType = (type: string, name: string) =>
  ggufBytes({ entries: [stringEntry("general.type", type)], tensors: [tensorInfo({ name })] });
export const mmproj = ofType("mmproj", "v.patch_embd.weight");
export const imatrix = ofType("imatrix", "blk.0.attn_q.weight.in_sum2");

export async function opened(...paths: string[]) {
  const { models, failures, notes } = await openModels(paths);
  const files = models.flatMap((each) => each.files.map(({ path }) => path));
  return { models, files, failures, notes };
}

/** Paths relative to a folder, with slashes on every system. */
export const under = (folder: string, files: readonly string[]) =>
  files.map((path) => path.slice(folder.length + 1).replaceAll(sep, "/"));
