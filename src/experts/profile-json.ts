import { PrefaultError } from "../errors.ts";
import type { ModelIdentity } from "./identity.ts";
import { invalidProfile, isWeight, MOST_CELLS, MOST_LAYERS, type Profile } from "./profile.ts";
import { MOST_EXPERTS } from "./routed-layers.ts";

const FORMAT = "prefault-profile";
const VERSION = 1;
const MOST_FINGERPRINT_CHARACTERS = 128;

/** Objects in arrays in objects: the format needs 3, and a hostile text may have millions. */
const MOST_DEPTH = 8;

/**
 * Reads the package's own JSON:
 *
 * ```json
 * {
 *   "format": "prefault-profile",
 *   "version": 1,
 *   "model": { "layers": 3, "experts": 4, "tensors": 6, "fingerprint": "0123456789abcdef" },
 *   "samples": 10,
 *   "weights": [[], [1, 0, 7.5, 2], [0, 0, 10, 3]]
 * }
 * ```
 *
 * `weights` has `model.layers` rows, one for each block by its number, and each row has
 * `model.experts` weights or fewer, or none: see {@link Profile.weights}. `samples` is `null` or `0`
 * as in {@link Profile.samples}. Keys that are not known are ignored.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`
 */
export function parseProfile(text: string, path: string | null = null): Profile {
  const { format, version, model, samples, weights } = parseObject(text, path);
  const bad = (why: string) => invalidProfile(path, why);
  if (format !== FORMAT) {
    throw bad(
      `it is JSON, and its "format" is ${brief(format)} where ${brief(FORMAT)} is expected`,
    );
  }
  if (version !== VERSION) {
    throw bad(`its "version" is ${brief(version)}, and this release reads version ${VERSION}`);
  }
  const identity = identityOf(model);
  if (identity === undefined) {
    throw bad(`its "model" needs "layers", "experts", "tensors" and "fingerprint"`);
  }
  if (samples !== null && !isWeight(samples)) throw bad(`its "samples" is ${brief(samples)}`);
  if (!Array.isArray(weights) || weights.length !== identity.layers) {
    throw bad(`its "weights" need a row for each of ${identity.layers} layers`);
  }
  let cells = 0;
  const rows = weights.map((row: unknown, layer) => {
    if (!Array.isArray(row) || row.length > identity.experts || !row.every(isWeight)) {
      const expected = `0 to ${identity.experts} numbers that are not negative`;
      throw bad(`row ${layer} of its "weights" is not a list of ${expected}`);
    }
    cells += row.length;
    if (cells > MOST_CELLS) throw bad(`it has more than ${MOST_CELLS} weights`);
    return Float64Array.from(row);
  });
  return {
    source: "json",
    layers: identity.layers,
    experts: identity.experts,
    samples,
    weights: rows,
    model: identity,
    inputLengths: new Map(),
    notes: [],
    path,
  };
}

/**
 * Writes a profile as the JSON that `parseProfile` reads. The same profile gives the same text:
 * a fixed order of keys, a row a line, numbers as short as they are exact.
 *
 * @param profile - one that knows its model: recorded, merged, read from JSON, or any that
 *   `checkProfile` returned, so that an imatrix or a CSV can be converted
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for one that does not
 */
export function writeProfile({ model, samples, weights, path }: Profile): string {
  if (model === null) {
    throw new PrefaultError(
      "PREFAULT_INVALID_OPTION",
      `${path ?? "the profile"} does not say of which model it is: check it against one first`,
      { path: path ?? undefined },
    );
  }
  const { layers, experts, tensors, fingerprint } = model;
  const rows = weights.map((row) => `    ${JSON.stringify([...row])}`);
  return [
    "{",
    `  "format": ${JSON.stringify(FORMAT)},`,
    `  "version": ${VERSION},`,
    `  "model": ${JSON.stringify({ layers, experts, tensors, fingerprint })},`,
    `  "samples": ${JSON.stringify(samples)},`,
    `  "weights": [${rows.length === 0 ? "" : `\n${rows.join(",\n")}\n  `}]`,
    "}",
    "",
  ].join("\n");
}

function parseObject(text: string, path: string | null): Record<string, unknown> {
  if (isDeep(text)) throw invalidProfile(path, `it is JSON nested more than ${MOST_DEPTH} deep`);
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw invalidProfile(path, `its JSON cannot be parsed (${why.slice(0, 200)})`, cause);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw invalidProfile(path, "its JSON is not an object");
}

/**
 * Whether arrays and objects are nested deeper than a profile nests them. Brackets inside strings are
 * counted too: the strings of a profile are the format's name and a fingerprint, which have none.
 */
function isDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5b || code === 0x7b) depth++;
    else if (code === 0x5d || code === 0x7d) depth--;
    if (depth > MOST_DEPTH) return true;
  }
  return false;
}

function identityOf(value: unknown): ModelIdentity | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { layers, experts, tensors, fingerprint } = value as Record<string, unknown>;
  const isIdentity =
    isCount(layers, MOST_LAYERS) &&
    isCount(experts, MOST_EXPERTS) &&
    isCount(tensors, Number.MAX_SAFE_INTEGER) &&
    typeof fingerprint === "string" &&
    fingerprint.length <= MOST_FINGERPRINT_CHARACTERS;
  return isIdentity ? { layers, experts, tensors, fingerprint } : undefined;
}

function isCount(value: unknown, most: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;
}

function brief(value: unknown): string {
  return (JSON.stringify(value) ?? "missing").slice(0, 60);
}
