import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Launch, readLaunch } from "../../../src/launch/index.ts";
import { splitShellWords } from "../../../src/launch/shell-words.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

/** Lines as people paste them, and the files that they name. `M` is a model, `DIR` its folder. */
export function pastedLines() {
  const folder = temporaryFolder();
  const M = join(folder, "m.gguf");
  for (const name of ["m.gguf", "n.gguf", "draft.gguf", "mmproj.gguf", "lora.gguf", "a b.gguf"]) {
    writeFileSync(join(folder, name), "GGUF");
  }
  writeFileSync(join(folder, "m.llamafile"), "MZ");
  writeFileSync(join(folder, "llama.env"), "LLAMA_ARG_N_GPU_LAYERS=11\n# no\n");
  mkdirSync(join(folder, "bin"));

  /** `M` and `DIR` stand for paths of this test. */
  function fill(text: string): string {
    return text.replaceAll("DIR", folder).replace(/\bM\b/g, M);
  }

  function read(text: string, env: Record<string, string> = {}): Promise<Launch> {
    const [words = []] = splitShellWords(fill(text));
    return readLaunch(words, { env });
  }

  return { folder, M, fill, read };
}

/** An override as a line gives it. */
export const ot = (pattern: string, buffer = "CPU") => ({ pattern, buffer, unmatched: "note" });
