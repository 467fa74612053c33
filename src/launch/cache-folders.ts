import { join } from "node:path";
import type { Environment } from "./shell-words.ts";

/** Folders of the Hugging Face hub's cache, by the variables of an environment. */
export function hubFolders(env: Environment): string[] {
  return given([
    env["LLAMA_CACHE"],
    env["HF_HUB_CACHE"],
    env["HUGGINGFACE_HUB_CACHE"],
    below(env["HF_HOME"], "hub"),
    below(env["XDG_CACHE_HOME"], "huggingface", "hub"),
    below(home(env), ".cache", "huggingface", "hub"),
  ]);
}

/** Folders of llama.cpp's own cache, which it used until the middle of 2026. */
export function flatFolders(env: Environment): string[] {
  return given([
    env["LLAMA_CACHE"],
    below(env["XDG_CACHE_HOME"], "llama.cpp"),
    below(home(env), ".cache", "llama.cpp"),
    below(home(env), "Library", "Caches", "llama.cpp"),
    below(env["LOCALAPPDATA"], "llama.cpp"),
  ]);
}

function home(env: Environment): string | undefined {
  return env["HOME"] ?? env["USERPROFILE"];
}

function below(folder: string | undefined, ...names: string[]): string | undefined {
  return folder ? join(folder, ...names) : undefined;
}

function given(folders: readonly (string | undefined)[]): string[] {
  return folders.filter((folder): folder is string => Boolean(folder));
}
