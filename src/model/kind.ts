import type { Model, ModelKind } from "./model.ts";

/** Values of `general.type` and of `general.architecture` of files that are no models. */
const BY_TYPE: ReadonlyMap<unknown, ModelKind> = new Map<unknown, ModelKind>([
  ["mmproj", "mmproj"],
  ["projector", "mmproj"],
  ["clip-vision", "mmproj"],
  ["adapter", "adapter"],
  ["lora", "adapter"],
  ["imatrix", "imatrix"],
  ["controlvector", "control-vector"],
  ["control-vector", "control-vector"],
  ["vocab", "vocabulary"],
]);
const BY_ARCHITECTURE: ReadonlyMap<unknown, ModelKind> = new Map<unknown, ModelKind>([
  ["clip", "mmproj"],
  ["controlvector", "control-vector"],
]);

/** Keys that only files of one kind have. For files without a known type or architecture. */
const BY_KEY: readonly (readonly [RegExp, ModelKind])[] = [
  [/^adapter\./, "adapter"],
  [/^imatrix\./, "imatrix"],
  [/^controlvector\./, "control-vector"],
  [/^clip\./, "mmproj"],
];

/** Patterns that match all tensor names of files of one kind. */
const BY_NAMES: readonly (readonly [RegExp, ModelKind])[] = [
  [/\.lora_[ab](\.weight)?$/i, "adapter"],
  [/(^|\.)(lora_(a|b|up|down|embedding_a|embedding_b)|ia3_l|dora_scale|alpha)(\.|$)/i, "adapter"],
  [/\.(in_sum2?|counts)$/, "imatrix"],
  [/^direction\.\d+$/, "control-vector"],
  [/^(v|a|mm|resampler|adapter)\./, "mmproj"],
];

/** The token embedding, which every language model has, under its different names. */
const EMBEDDING = /^(token_embd\.weight|.*embed_tokens\.weight|.*\bwte\.weight)$/;

/**
 * Tells the kind of a file by its metadata, and by the names of its tensors where the metadata are missing
 * or wrong.
 */
export function kindOf({ metadata, tensors }: Pick<Model, "metadata" | "tensors">): ModelKind {
  // A file with a token embedding is a model: converters write wrong types.
  if (tensors.some(({ name }) => EMBEDDING.test(name))) return "model";
  if (tensors.length === 0) {
    const hasTokens = Object.keys(metadata).some((key) => key.startsWith("tokenizer."));
    if (hasTokens) return "vocabulary";
  }
  const said =
    BY_TYPE.get(metadata["general.type"]) ?? BY_ARCHITECTURE.get(metadata["general.architecture"]);
  if (said !== undefined) return said;
  const keys = Object.keys(metadata);
  const byKey = BY_KEY.find(([pattern]) => keys.some((key) => pattern.test(key)));
  if (byKey !== undefined) return byKey[1];
  if (tensors.length === 0) return "model";
  const byNames = BY_NAMES.find(([pattern]) => tensors.every(({ name }) => pattern.test(name)));
  return byNames?.[1] ?? "model";
}

const WORDS: Readonly<Record<ModelKind, string>> = {
  model: "a model",
  mmproj: "a projector for images or sound (mmproj)",
  adapter: "an adapter (LoRA)",
  "control-vector": "a control vector",
  imatrix: "an importance matrix, which is read while quantising and never while serving",
  vocabulary: "a vocabulary without weights",
};

/** In words, for a note. */
export function describeKind(kind: ModelKind): string {
  return WORDS[kind];
}
