import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { PrefaultError } from "../errors.ts";
import { exists } from "../file/exists.ts";

/** Media types of layers that are weights, the model first. Docker's store has the form of Ollama's. */
const WEIGHTS: readonly RegExp[] = [
  /^application\/vnd\.ollama\.image\.model$/,
  /^application\/vnd\.ollama\.image\.tensor$/,
  /^application\/vnd\.docker\.ai\.(gguf|safetensors)\b/,
  /^application\/vnd\.ollama\.image\.projector$/,
  /^application\/vnd\.ollama\.image\.adapter$/,
  /^application\/vnd\.docker\.ai\.(mmproj|lora)\b/,
];
const DIGEST = /^sha256[:-]([0-9a-f]{64})$/;

const DEFAULT_REGISTRY = "registry.ollama.ai";
const DEFAULT_NAMESPACE = "library";
const DEFAULT_TAG = "latest";

/** A manifest has about a dozen layers; one with a layer for each tensor has a few thousand. */
const MOST_LAYERS = 20_000;

interface Layer {
  readonly mediaType: string;
  readonly digest: string;
}

/** The digests of the weights that a manifest names; `null` for JSON that is no manifest. */
export function weightsOfManifest(json: unknown): string[] | null {
  if (typeof json !== "object" || json === null) return null;
  const { schemaVersion, layers } = json as Record<string, unknown>;
  if (typeof schemaVersion !== "number" || !Array.isArray(layers)) return null;
  const found = layers.slice(0, MOST_LAYERS).filter(isLayer);
  if (found.length < Math.min(layers.length, MOST_LAYERS)) return null;
  return WEIGHTS.flatMap((type) => found.filter((each) => type.test(each.mediaType))).map(
    ({ digest }) => digest,
  );
}

function isLayer(layer: unknown): layer is Layer {
  const { mediaType, digest } = (layer ?? {}) as Partial<Record<keyof Layer, unknown>>;
  return typeof mediaType === "string" && typeof digest === "string" && DIGEST.test(digest);
}

/**
 * The files of the weights that a manifest names.
 *
 * @throws {@link PrefaultError} `PREFAULT_MISSING_SHARD` for a blob that is not there
 */
export async function blobsOfManifest(path: string, digests: readonly string[]): Promise<string[]> {
  const stores = [storeOfManifest(path), ...localStores()].filter((each) => each !== undefined);
  const blobs: string[] = [];
  for (const digest of digests) {
    const candidates = stores.flatMap((store) => blobPaths(store, digest));
    const found = await firstThere(candidates);
    if (found === undefined) {
      throw new PrefaultError(
        "PREFAULT_MISSING_SHARD",
        `${path} is a manifest, and the blob that it names is missing: ${candidates[0] ?? digest} ` +
          "(an unfinished pull?)",
        { path: candidates[0] ?? path },
      );
    }
    blobs.push(found);
  }
  return blobs;
}

/** The names in a Modelfile: of its model first, then of its adapters. */
export function namesOfModelfile(text: string): string[] {
  const lines = text.split(/\r?\n/).map((line) => /^\s*(FROM|ADAPTER)\s+(.+?)\s*$/i.exec(line));
  const named = (word: string) =>
    lines.flatMap((line) =>
      line?.[1]?.toUpperCase() === word ? [(line[2] ?? "").replace(/^(["'])(.*)\1$/, "$2")] : [],
    );
  return [...named("FROM"), ...named("ADAPTER")];
}

/**
 * The file or folder of a Modelfile's `FROM` or `ADAPTER`: a path, a blob by its digest, or the manifest
 * of a model in a local store. `undefined` when it is not on this machine.
 */
export async function findNamed(name: string, modelfile: string): Promise<string | undefined> {
  const path = name.startsWith("~/") ? join(homedir(), name.slice(2)) : name;
  const digest = DIGEST.exec(basename(path).replace(/^@/, ""))?.[0];
  return firstThere([
    isAbsolute(path) ? path : resolve(dirname(modelfile), path),
    ...(digest === undefined
      ? []
      : [...siblingStores(modelfile), ...localStores()].flatMap((store) =>
          blobPaths(store, digest),
        )),
    ...manifestPaths(name, [...siblingStores(modelfile), ...localStores()]),
  ]);
}

/** `[registry/][namespace/]model[:tag]` as a path below `manifests`. */
function manifestPaths(name: string, stores: readonly string[]): string[] {
  const [, path = "", tag = DEFAULT_TAG] =
    /^([^:]+(?::\d+(?=\/))?[^:]*)(?::([^:/]+))?$/.exec(name) ?? [];
  const parts = path.split("/");
  if (![...parts, tag].every((part) => /^[\w][\w.:-]*$/.test(part)) || parts.length > 3) return [];
  const [model = "", namespace = DEFAULT_NAMESPACE, registry = DEFAULT_REGISTRY] = parts.reverse();
  return stores.map((store) => join(store, "manifests", registry, namespace, model, tag));
}

/** `…/models/manifests/registry/namespace/model/tag` lies in the store `…/models`. */
function storeOfManifest(path: string): string | undefined {
  const parts = resolve(path).split(/[\\/]/);
  const at = parts.lastIndexOf("manifests");
  return at > 0 ? parts.slice(0, at).join("/") || "/" : undefined;
}

/** The stores in which a Modelfile may lie, or beside which. */
function siblingStores(path: string): string[] {
  const folder = dirname(resolve(path));
  return [folder, join(folder, "models"), join(folder, ".ollama", "models")];
}

/** Ollama's folders of models: by its variable, of a user, and of its service. */
function localStores(): string[] {
  return [
    process.env["OLLAMA_MODELS"],
    join(homedir(), ".ollama", "models"),
    "/usr/share/ollama/.ollama/models",
    "/var/lib/ollama/.ollama/models",
    "/var/lib/ollama/models",
  ].filter((each): each is string => each !== undefined && each !== "");
}

/** The paths of a blob, as Ollama and as Docker name it. */
function blobPaths(store: string, digest: string): string[] {
  const [algorithm = "", hash = ""] = digest.split(/[:-]/);
  return [join(store, "blobs", `${algorithm}-${hash}`), join(store, "blobs", algorithm, hash)];
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await exists(path)) return path;
  return undefined;
}
