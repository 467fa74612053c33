import type { Dirent } from "node:fs";
import { constants, open, readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PrefaultError } from "../errors.ts";
import { asFileError } from "../file/open-file.ts";
import { UNFINISHED } from "./model-file.ts";
import { looksLikeSafetensors } from "./safetensors.ts";
import { INDEX_NAME } from "./stand-in.ts";
import { START_BYTES } from "./text-file.ts";

/** A path that could not be opened, and why. */
export interface FailedPath {
  readonly path: string;
  readonly error: PrefaultError;
}

/** What a folder has that may be a model. */
export interface FolderContents {
  /** In the order in which they are to be opened: an index before the files it names. */
  readonly paths: readonly string[];
  readonly failures: readonly FailedPath[];
  readonly notes: readonly string[];
}

/** Below the folder: `publisher/model/quant`, and the tree of the Hugging Face cache or of Ollama. */
const MOST_DEPTH = 8;
/** A store of a thousand models has fewer. */
const MOST_ENTRIES = 100_000;

/** Hidden folders that hold models; others hold what no one wants to be warmed. */
const KNOWN_HIDDEN = /^\.(cache|ollama|lmstudio|cache-lm-studio|local|llamafile|models)$/;

const MODEL_NAME = /\.(gguf|safetensors|llamafile)$/i;

/**
 * The files of a folder that may be models, and of the folders below it.
 *
 * Of a Hugging Face cache the current snapshot is taken, of an Ollama store what its manifests name.
 * Files of the folder `blobs` have no suffix and are told by their first bytes.
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND` for a folder without models, and as the system says
 */
export async function findModels(folder: string): Promise<FolderContents> {
  const walk = new Walk();
  // Of the folder that was named, an error is the caller's.
  await readdir(folder).catch((error: unknown) => {
    throw asFileError(error, folder);
  });
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

class Walk implements FolderContents {
  readonly paths: string[] = [];
  readonly failures: FailedPath[] = [];
  readonly notes: string[] = [];
  /** Links may lead in a circle, or to the same folder twice. */
  readonly #entered = new Set<string>();
  #entries = 0;

  async enter(folder: string, depth: number): Promise<void> {
    let found: Entry[];
    try {
      const { dev, ino } = await stat(folder, { bigint: true });
      if (this.#entered.has(`${dev}:${ino}`)) return;
      this.#entered.add(`${dev}:${ino}`);
      found = await this.#list(folder);
    } catch (error) {
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

  /** What the manifests name; they lie at `manifests/registry/namespace/model/tag`. */
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
    // Docker's store has them in blobs/sha256.
    if (basename(folder) !== "blobs" && basename(dirname(folder)) !== "blobs") return;
    for (const name of names) {
      const path = join(folder, name);
      if (!MODEL_NAME.test(name) && !UNFINISHED.test(name) && (await isModel(path))) {
        this.paths.push(path);
      }
    }
  }

  /** In the order of names. Links count as what they lead to. */
  async #list(folder: string): Promise<Entry[]> {
    const dirents = await readdir(folder, { withFileTypes: true, encoding: "buffer" });
    const entries: Entry[] = [];
    for (const dirent of dirents as unknown as Dirent<Buffer>[]) {
      if (++this.#entries > MOST_ENTRIES) {
        const note = `only the first ${MOST_ENTRIES} files and folders were looked at`;
        if (!this.notes.includes(note)) this.notes.push(note);
        break;
      }
      const name = dirent.name.toString("utf8");
      if (!Buffer.from(name).equals(dirent.name)) this.#undecodable(folder, dirent);
      else if (!dirent.isSymbolicLink()) entries.push({ name, isFolder: dirent.isDirectory() });
      else entries.push({ name, isFolder: await isFolder(join(folder, name)) });
    }
    return entries.sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** A name that is no UTF-8 cannot be said in a path of this package, nor on a command line of Node.js. */
  #undecodable(folder: string, dirent: Dirent<Buffer>): void {
    const path = join(folder, escaped(dirent.name));
    const why = "its name is not UTF-8, which Node.js cannot pass on: rename it, or link to it";
    if (dirent.isDirectory()) {
      this.notes.push(`${path} was not looked into: ${why}`);
    } else if (MODEL_NAME.test(dirent.name.toString("latin1"))) {
      const message = `${path} cannot be opened: ${why}`;
      this.failures.push({
        path,
        error: new PrefaultError("PREFAULT_UNSUPPORTED", message, { path }),
      });
    }
  }

  #fail(path: string, thrown: unknown): void {
    const error = asFileError(thrown, path);
    if (!PrefaultError.is(error)) throw error;
    this.failures.push({ path, error });
  }
}

interface Entry {
  readonly name: string;
  readonly isFolder: boolean;
}

/** As a C string would have it: `m\xe9.gguf`. */
function escaped(name: Buffer): string {
  return [...name]
    .map((byte) =>
      byte >= 0x20 && byte < 0x7f
        ? String.fromCharCode(byte)
        : `\\x${byte.toString(16).padStart(2, "0")}`,
    )
    .join("");
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** The commits that `refs/main` and its like name. */
async function refsOf(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const commits: string[] = [];
  for (const name of names.slice(0, 1000)) {
    const text = await readFile(join(folder, name), "utf8").catch(() => "");
    if (/^[0-9a-f]{4,64}\s*$/.test(text)) commits.push(text.trim());
  }
  return commits;
}

/** Whether a file without a suffix has a model's first bytes. */
async function isModel(path: string): Promise<boolean> {
  // Not waiting for a writer, should it be a FIFO.
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(
    () => null,
  );
  if (handle === null) return false;
  try {
    const found = await handle.stat();
    if (!found.isFile()) return false;
    const { size } = found;
    const start = Buffer.alloc(START_BYTES);
    const { bytesRead } = await handle.read(start, 0, START_BYTES, 0);
    return (
      start.toString("latin1", 0, 4) === "GGUF" ||
      looksLikeSafetensors(start.subarray(0, bytesRead), size)
    );
  } catch {
    return false;
  } finally {
    await handle.close();
  }
}
