import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PrefaultError } from "../errors.ts";
import { asFileError } from "../file/open-file.ts";
import { beginsLikeModel } from "./begins-like-model.ts";
import { type Entry, listFolder, NOT_UTF8, type UndecodableEntry } from "./folder-entries.ts";
import { UNFINISHED } from "./model-file.ts";
import { INDEX_NAME } from "./stand-in.ts";

/** A path that could not be opened, and the error. */
export interface FailedPath {
  readonly path: string;
  readonly error: PrefaultError;
}

/** The files of a folder that may be models. */
export interface FolderContents {
  /** In the order in which they are to be opened: an index before the files it names. */
  readonly paths: readonly string[];
  readonly failures: readonly FailedPath[];
  readonly notes: readonly string[];
}

/** Levels of folders that are searched: enough for the Hugging Face cache and for Ollama. */
const MOST_DEPTH = 8;
/** More than a store of a thousand models has. */
const MOST_ENTRIES = 100_000;

/** Hidden folders that may hold models. Other hidden folders are skipped. */
const KNOWN_HIDDEN = /^\.(cache|ollama|lmstudio|cache-lm-studio|local|llamafile|models)$/;

const MODEL_NAME = /\.(gguf|safetensors|llamafile)$/i;

/**
 * The files of a folder that may be models, and of the folders below it.
 *
 * In a Hugging Face cache these are the files of the current snapshot, in an Ollama store the manifests.
 * Files of a folder `blobs` have no suffix and are recognised by their first bytes.
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND` for a folder without models, and others for a
 *   folder that cannot be read
 */
export async function findModels(folder: string): Promise<FolderContents> {
  const walk = new Walk();
  await walk.enter(folder, 0);
  if (walk.paths.length === 0 && walk.failures.length === 0) {
    const unfinished = walk.notes.length > 0 ? `; ${walk.notes.join("; ")}` : "";
    throw new PrefaultError(
      "PREFAULT_NOT_FOUND",
      `${folder} is a directory without models (*.gguf, *.safetensors)${unfinished}`,
      { path: folder },
    );
  }
  return walk;
}

/** One search through a folder. */
class Walk implements FolderContents {
  readonly paths: string[] = [];
  readonly failures: FailedPath[] = [];
  readonly notes: string[] = [];
  /** Folders that were entered: links may lead in a circle, or to the same folder twice. */
  readonly #entered = new Set<string>();
  #entries = 0;

  async enter(folder: string, depth: number): Promise<void> {
    let found: readonly Entry[];
    try {
      const { dev, ino } = await stat(folder, { bigint: true });
      if (this.#entered.has(`${dev}:${ino}`)) return;
      this.#entered.add(`${dev}:${ino}`);
      found = await this.#list(folder);
    } catch (error) {
      // An error of the folder itself is thrown; one of a folder below it is listed.
      if (depth === 0) throw asFileError(error, folder);
      this.#fail(folder, error);
      return;
    }
    const has = (name: string) => found.some((each) => each.name === name && each.isFolder);
    if (has("blobs") && has("snapshots")) return this.#huggingFace(folder, depth);
    if (has("blobs") && has("manifests")) return this.#ollama(folder, depth);
    await this.#files(folder, found);
    for (const { name, isFolder } of found) {
      const isSkipped = name.startsWith(".") && !KNOWN_HIDDEN.test(name);
      if (isFolder && !isSkipped && depth < MOST_DEPTH)
        await this.enter(join(folder, name), depth + 1);
    }
  }

  /** `models--org--name`: the snapshots that its refs name, else all of them. */
  async #huggingFace(folder: string, depth: number): Promise<void> {
    const snapshots = join(folder, "snapshots");
    const all = await readdir(snapshots).catch(() => []);
    const current = new Set(await refsOf(join(folder, "refs")));
    const chosen = all.filter((name) => current.has(name));
    const before = this.paths.length;
    for (const name of (chosen.length > 0 ? chosen : all).sort()) {
      await this.enter(join(snapshots, name), depth + 1);
    }
    if (chosen.length > 0 && chosen.length < all.length) {
      const count = all.length - chosen.length;
      this.notes.push(
        `${folder}: ${count} older snapshot${count > 1 ? "s were" : " was"} left out`,
      );
    }
    if (this.paths.length === before) await this.enter(join(folder, "blobs"), depth + 1);
  }

  /** The manifests, at `manifests/registry/namespace/model/tag`. */
  async #ollama(folder: string, depth: number): Promise<void> {
    const before = this.paths.length;
    await this.#manifests(join(folder, "manifests"), 0);
    if (this.paths.length === before) await this.enter(join(folder, "blobs"), depth + 1);
  }

  async #manifests(folder: string, depth: number): Promise<void> {
    const found = await this.#list(folder).catch((error: unknown) => {
      this.#fail(folder, error);
      return [];
    });
    for (const { name, isFolder } of found) {
      if (name.startsWith(".")) continue;
      if (!isFolder) this.paths.push(join(folder, name));
      else if (depth < MOST_DEPTH) await this.#manifests(join(folder, name), depth + 1);
    }
  }

  async #files(folder: string, found: readonly Entry[]): Promise<void> {
    const names = found.filter((each) => !each.isFolder).map(({ name }) => name);
    const models = names.filter((name) => MODEL_NAME.test(name) && !name.startsWith("."));
    const indexes = names.filter((name) => INDEX_NAME.test(name));
    this.paths.push(...[...indexes, ...models].map((name) => join(folder, name)));
    for (const name of names) {
      if (UNFINISHED.test(name) && /\.(gguf|safetensors)\W/i.test(name)) {
        this.notes.push(`${join(folder, name)} is an unfinished download and was left out`);
      }
    }
    // Ollama has `blobs`, Docker `blobs/sha256`.
    if (basename(folder) !== "blobs" && basename(dirname(folder)) !== "blobs") return;
    for (const name of names) {
      const path = join(folder, name);
      if (!MODEL_NAME.test(name) && !UNFINISHED.test(name) && (await beginsLikeModel(path))) {
        this.paths.push(path);
      }
    }
  }

  /** At most {@link MOST_ENTRIES} entries of all folders together. */
  async #list(folder: string): Promise<readonly Entry[]> {
    const { entries, undecodable, isCut } = await listFolder(folder, MOST_ENTRIES - this.#entries);
    this.#entries += entries.length + undecodable.length;
    if (isCut) this.#noteOnce(`only the first ${MOST_ENTRIES} files and folders were looked at`);
    for (const entry of undecodable) this.#undecodable(folder, entry);
    return entries;
  }

  #undecodable(folder: string, { name, latin1, isFolder }: UndecodableEntry): void {
    const path = join(folder, name);
    if (isFolder) {
      this.notes.push(`${path} was not looked into: ${NOT_UTF8}`);
    } else if (MODEL_NAME.test(latin1)) {
      const message = `${path} cannot be opened: ${NOT_UTF8}`;
      this.failures.push({
        path,
        error: new PrefaultError("PREFAULT_UNSUPPORTED", message, { path }),
      });
    }
  }

  #noteOnce(note: string): void {
    if (!this.notes.includes(note)) this.notes.push(note);
  }

  #fail(path: string, thrown: unknown): void {
    const error = asFileError(thrown, path);
    if (!PrefaultError.is(error)) throw error;
    this.failures.push({ path, error });
  }
}

/** The commits in `refs/main` and other refs. */
async function refsOf(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const commits: string[] = [];
  for (const name of names.slice(0, 1000)) {
    const text = await readFile(join(folder, name), "utf8").catch(() => "");
    if (/^[0-9a-f]{4,64}\s*$/.test(text)) commits.push(text.trim());
  }
  return commits;
}
