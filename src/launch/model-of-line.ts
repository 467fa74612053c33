import { PrefaultError } from "../errors.ts";
import { usage } from "./given.ts";
import { hostPath } from "./local-files.ts";
import { type CachedModel, findCached, type Wanted } from "./model-cache.ts";
import type { Positional } from "./read-words.ts";
import type { Reading } from "./reading.ts";
import type { Settings } from "./settings.ts";
import type { Environment } from "./shell-words.ts";

/** Finds the model that a line or a section of presets names. */
export async function modelOf(
  reading: Reading,
  settings: Settings,
  positionals: readonly Positional[],
): Promise<CachedModel | undefined> {
  const file = settings.text("model");
  const url = settings.text("modelUrl");
  const repo = settings.text("hfRepo") ?? repoOfUrl(url)?.repo;
  const engine = reading.engine;
  if (
    repo !== undefined &&
    !(engine === "llama.cpp" && file !== undefined && (await reading.files.has(file)))
  ) {
    const wanted =
      engine === "llama-cpp-python" ? file : (settings.text("hfFile") ?? repoOfUrl(url)?.file);
    return cached(reading, { repo, file: wanted });
  }
  if (file !== undefined) return named(reading, file);
  for (const [flag, value] of [
    ["--model-url", url],
    ["--docker-repo", settings.text("dockerRepo")],
  ]) {
    if (value !== undefined) {
      throw usage(`${flag} ${value}: what was downloaded for it is not looked up; give the file`);
    }
  }
  const folder = settings.text("modelsDir");
  if (folder !== undefined) return named(reading, folder);
  const first = positionals[0]?.word;
  if (engine === "llama-run" && first !== undefined) return runModel(reading, first);
  if (engine === "koboldcpp" && first !== undefined) return named(reading, first);
  if (engine === "llamafile" && /\.llamafile(\.exe)?$/i.test(reading.line.program)) {
    return named(reading, reading.line.program);
  }
  return undefined;
}

async function runModel(reading: Reading, text: string): Promise<CachedModel> {
  const hub = /^(?:hf|huggingface):\/\/([^/]+\/[^/]+)(?:\/(.+))?$/.exec(text);
  if (hub !== null) {
    return cached(reading, { repo: hub[1] ?? "", file: hub[2] });
  }
  const path = text.replace(/^file:\/\//, "");
  if (/^\w+:\/\//.test(path) || !(await reading.files.has(path))) {
    throw usage(`llama-run ${text}: no such file, and what it would download is not looked up`);
  }
  return named(reading, path);
}

/** Finds a repository's model in the caches that the engine sees: those of a container are in its mounts. */
export function cached(reading: Reading, wanted: Wanted): Promise<CachedModel> {
  const { mounts } = reading.line;
  return findCached(wanted, cacheEnvironment(reading), (path) => hostPath(path, mounts));
}

/** Finds a file of the line on this machine, also one in a container. */
export async function named(reading: Reading, path: string): Promise<CachedModel> {
  const local = await reading.files.find(path);
  if (local !== undefined) return { model: local, mmproj: undefined };
  const isReplaced = (reading.context.operands ?? []).length > 0;
  if (reading.line.mounts.length === 0 && !reading.line.hidesEnvironment && !isReplaced) {
    // Opening it later fails with the reason.
    return { model: reading.files.inFolder(path), mmproj: undefined };
  }
  if (isReplaced) {
    reading.notes.push(
      `${path} of the line is not here: the files given before -- are used instead`,
    );
    return { model: reading.context.operands?.[0] ?? path, mmproj: undefined };
  }
  throw new PrefaultError(
    "PREFAULT_NOT_FOUND",
    `${path}: no such file; it is a path inside the container, and no mount of the line leads to such a file: ` +
      "give the file of the host before --",
    { path },
  );
}

/** The environment that decides where the engine keeps its caches. */
function cacheEnvironment(reading: Reading): Environment {
  const own = reading.ownEnv;
  if (!reading.line.hidesEnvironment) return { ...reading.context.env, ...own };
  // The caches of a container are in its mounts; without such mounts the caller's caches are searched.
  const isMounted = reading.line.mounts.some(({ container }) => container.startsWith("/root"));
  return { ...reading.context.env, ...(isMounted && { HOME: "/root" }), ...own };
}

function repoOfUrl(url: string | undefined): { repo: string; file: string } | undefined {
  const found =
    /^https?:\/\/(?:www\.)?huggingface\.co\/([^/]+\/[^/]+)\/(?:resolve|blob)\/[^/]+\/([^?]+)/.exec(
      url ?? "",
    );
  return found === null ? undefined : { repo: found[1] ?? "", file: found[2] ?? "" };
}
