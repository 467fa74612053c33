import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Model } from "../model/model.ts";
import { checkProfile } from "./check-profile.ts";
import { readProfile } from "./read-profile.ts";

/** An imatrix that fits the model and lies beside it. */
export interface ImatrixOffer {
  readonly path: string;
  /** The model's own metadata names it as the one it was quantised with. */
  readonly isNamedByModel: boolean;
}

/**
 * Names under which an imatrix is published beside its models: `imatrix_unsloth.gguf_file`,
 * `Model.imatrix.gguf`, `Model-imatrix.gguf`, `imatrix.dat`. Quants that only mention it in the middle
 * of their name (`Model-imatrix-Q4_K_M.gguf`) are models.
 */
const USUAL_NAME =
  /^imatrix.*\.(?:gguf|gguf_file|dat)$|[._-]imatrix(?:\.(?:gguf|gguf_file|dat))?$/i;

/** Each costs the reading of a header. */
const MOST_LOOKED_AT = 8;

/**
 * Finds an imatrix that could serve as a profile of a model: to be offered in a note, never to be
 * used unasked. Looks into the model's folder and the one above it, where publishers who put each
 * quantisation into a folder of its own keep the imatrix.
 *
 * Of the name in `quantize.imatrix.file` the last part counts alone, so that a model cannot make
 * anybody look elsewhere. What cannot be read or does not fit the model is left out.
 *
 * @param options.most - offers to look for
 * @returns the likeliest first. Never throws, but for an abort
 */
export async function findImatrix(
  modelPath: string,
  model: Model,
  {
    signal,
    most = MOST_LOOKED_AT,
  }: { readonly signal?: AbortSignal | undefined; readonly most?: number } = {},
): Promise<ImatrixOffer[]> {
  const named = namedByModel(model);
  const own = new Set(model.files.map(({ path }) => basename(path)));
  const stem = basename(modelPath);
  const candidates: (ImatrixOffer & { readonly likeness: number })[] = [];
  const folder = dirname(modelPath);
  for (const place of new Set([folder, join(folder, "..")])) {
    for (const name of await namesIn(place)) {
      if (own.has(name) || (name !== named && !USUAL_NAME.test(name))) continue;
      const likeness = commonStart(name, stem) + (name === named ? 1000 : 0);
      candidates.push({ path: join(place, name), isNamedByModel: name === named, likeness });
    }
  }
  candidates.sort((a, b) => b.likeness - a.likeness);
  const offers: ImatrixOffer[] = [];
  for (const { path, isNamedByModel } of candidates.slice(0, MOST_LOOKED_AT)) {
    if (offers.length >= most) break;
    if (await fits(path, model, signal)) offers.push({ path, isNamedByModel });
  }
  return offers;
}

/** A plain file name, or `undefined`. Written on any system, so both kinds of slash separate. */
function namedByModel({ metadata }: Model): string | undefined {
  const named = metadata["quantize.imatrix.file"];
  if (typeof named !== "string") return undefined;
  const name = named.split(/[/\\]/).at(-1) ?? "";
  return name === "" || name === "." || name === ".." || name.includes("\0") ? undefined : name;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    // The cache of Hugging Face's hub has links only.
    return entries
      .filter((entry) => entry.isFile() || entry.isSymbolicLink())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

async function fits(path: string, model: Model, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    const profile = await readProfile(path, { signal });
    checkProfile(profile, model);
    return profile.source === "imatrix";
  } catch (error) {
    if (signal?.aborted === true) throw error;
    return false;
  }
}

function commonStart(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
