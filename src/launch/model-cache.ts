import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { PrefaultError } from "../errors.ts";
import { flatFolders, hubFolders } from "./cache-folders.ts";
import type { Environment } from "./shell-words.ts";

/** The files of a repository in a local cache. */
export interface CachedModel {
  /** The first shard, for a split one. */
  readonly model: string;
  /** The projector, which the engine loads beside the model. */
  readonly mmproj: string | undefined;
}

/** The file that is wanted of a repository. */
export interface Wanted {
  /** `org/name`, or `org/name:QUANT`. */
  readonly repo: string;
  /** A file's name inside the repository. It counts before the quant. */
  readonly file?: string | undefined;
}

/** Without a quant llama.cpp takes the first of these that exists, else the first file. */
const DEFAULT_QUANTS = ["Q4_K_M", "Q8_0"];
/** A snapshot has at most a folder for each quant. */
const DEPTH = 3;

/**
 * Finds the model of `-hf` in the caches of llama.cpp and of the Hugging Face hub. Downloads nothing.
 *
 * @param hostPath gives the path on the host for one in a container
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND`, which names the folders, `PREFAULT_INVALID_OPTION`
 */
export async function findCached(
  wanted: Wanted,
  env: Environment,
  hostPath: (path: string) => string = (path) => path,
): Promise<CachedModel> {
  const [repo = "", quant] = wanted.repo.replace(/^(hf|huggingface):\/\//, "").split(":");
  if (!/^[\w.-]+\/[\w.-]+$/.test(repo)) {
    throw new PrefaultError(
      "PREFAULT_INVALID_OPTION",
      `${JSON.stringify(wanted.repo)} is no repository of the form user/model[:quant]`,
    );
  }
  const places = [
    ...hubFolders(env).map((folder) => ({ folder: hostPath(folder), isHub: true })),
    ...flatFolders(env).map((folder) => ({ folder: hostPath(folder), isHub: false })),
  ];
  const seen: string[] = [];
  for (const { folder, isHub } of places) {
    const files = isHub ? await hubFiles(folder, repo) : await flatFiles(folder, repo, quant);
    const found = choose(files, quant, wanted.file);
    if (found !== undefined) return found;
    seen.push(...files.map(({ name }) => name));
  }
  const what = [wanted.repo, wanted.file].filter(Boolean).join(" ");
  const others = seen.length > 0 ? `; of ${repo} there are ${[...new Set(seen)].join(", ")}` : "";
  const folders = [...new Set(places.map(({ folder }) => folder))].join(", ");
  throw new PrefaultError(
    "PREFAULT_NOT_FOUND",
    `${what} is in no local cache (looked in ${folders})${others}: ` +
      "start the engine once so that it downloads it, or give the file",
  );
}

/** A GGUF file of a repository. */
interface CachedFile {
  /** The path inside the repository. */
  readonly name: string;
  readonly path: string;
}

/** `models--org--name/snapshots/<commit>/…`, of the commit that `refs/main` names. */
async function hubFiles(folder: string, repo: string): Promise<CachedFile[]> {
  const wanted = `models--${repo.replaceAll("/", "--")}`.toLowerCase();
  const name = (await list(folder)).find((each) => each.toLowerCase() === wanted);
  if (name === undefined) return [];
  const snapshots = join(folder, name, "snapshots");
  const main = await read(join(folder, name, "refs", "main"));
  const commits = await list(snapshots);
  const commit = commits.includes(main?.trim() ?? "") ? main?.trim() : commits.at(-1);
  return commit === undefined ? [] : modelFiles(join(snapshots, commit), "", DEPTH);
}

async function modelFiles(folder: string, prefix: string, depth: number): Promise<CachedFile[]> {
  const found: CachedFile[] = [];
  for (const name of await list(folder)) {
    const path = join(folder, name);
    if (/\.gguf$/i.test(name)) found.push({ name: prefix + name, path });
    else if (depth > 1) found.push(...(await modelFiles(path, `${prefix}${name}/`, depth - 1)));
  }
  return found;
}

/** Files `org_name_file.gguf` of one folder. A manifest names the file of a tag. */
async function flatFiles(
  folder: string,
  repo: string,
  quant: string | undefined,
): Promise<CachedFile[]> {
  const prefix = `${repo.replaceAll("/", "_")}_`;
  const names = (await list(folder)).filter(
    (name) => name.startsWith(prefix) && /\.gguf$/i.test(name),
  );
  const files = names.map((name) => ({
    name: name.slice(prefix.length),
    path: join(folder, name),
  }));
  const tag = quant ?? "latest";
  const manifest = await read(join(folder, `manifest=${repo.replaceAll("/", "=")}=${tag}.json`));
  const meant = manifest === undefined ? undefined : fileOfManifest(manifest)?.replaceAll("/", "_");
  const first = files.filter(({ name }) => name === meant);
  // The name of a file need not contain its tag, so the file of the manifest comes first.
  return first.length > 0 && quant === undefined
    ? [...first, ...files.filter(({ name }) => /mmproj/i.test(name))]
    : files;
}

function fileOfManifest(text: string): string | undefined {
  try {
    const name: unknown = JSON.parse(text)?.ggufFile?.rfilename;
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}

/** Chooses as llama.cpp does: never a projector, and of a split model the first shard. */
function choose(
  files: readonly CachedFile[],
  quant: string | undefined,
  file: string | undefined,
): CachedModel | undefined {
  const models = files
    .filter(({ name }) => !/mmproj|imatrix|(^|\/)mtp-/i.test(name))
    .filter(({ name }) => !/-\d{5}-of-\d{5}\.gguf$/i.test(name) || /-00001-of-/.test(name))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
  const byQuant = (wanted: string) =>
    models.find(({ name }) => new RegExp(`(^|[-._/])${literal(wanted)}([-._/]|$)`, "i").test(name));
  let model: CachedFile | undefined;
  if (file !== undefined) {
    model = files.find(({ name }) => name === file || name === file.replaceAll("/", "_"));
  } else if (quant !== undefined && quant.toLowerCase() !== "latest") {
    model = byQuant(quant);
  } else {
    model = DEFAULT_QUANTS.map(byQuant).find(Boolean) ?? models[0];
  }
  if (model === undefined) return undefined;
  return { model: model.path, mmproj: files.find(({ name }) => /mmproj/i.test(name))?.path };
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

async function list(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch {
    return [];
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
}
