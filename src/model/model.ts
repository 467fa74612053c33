/** A file of a model, as it was on disk when the model was opened. */
export interface ModelFile {
  /** As it was given, or as it was found next to the one that was given. */
  readonly path: string;
  /** Bytes. */
  readonly byteLength: number;
  /** Tells the file that was read from another that takes its name later. */
  readonly identity?: string;
}

/** One tensor of a model, as a range of bytes of one of its files. */
export interface Tensor {
  /** Such as `blk.0.ffn_down_exps.weight`. */
  readonly name: string;
  /** Index into {@link Model.files}. */
  readonly file: number;
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** Bytes. Zero only for a tensor without elements. */
  readonly byteLength: number;
  /** The format's own name of the element type, such as `Q4_K` or `BF16`. */
  readonly dtype: string;
  /** Elements per dimension, in the order the format stores them. */
  readonly shape: readonly number[];
}

/** A metadata value: what a GGUF key or a safetensors `__metadata__` entry can hold. */
export type MetadataValue = string | number | bigint | boolean | readonly MetadataValue[];

/**
 * What a file is to an engine.
 *
 * - `model`: has weights of its own that are placed on CPU and GPU.
 * - `mmproj`: a projector for images or sound, loaded beside a model.
 * - `adapter`: a LoRA or another adapter, loaded on top of a model.
 * - `control-vector`: added to a model's activations.
 * - `imatrix`: statistics for quantising; never read while a model is served.
 * - `vocabulary`: a tokenizer without weights.
 */
export type ModelKind =
  | "model"
  | "mmproj"
  | "adapter"
  | "control-vector"
  | "imatrix"
  | "vocabulary";

/** What tensors a model has, where they lie and how long they are. Holds nothing open. */
export interface Model {
  readonly format: "gguf" | "safetensors" | "file";
  /** In shard order. */
  readonly files: readonly ModelFile[];
  /** In file order. A plain file is a single tensor that bears the file's name. */
  readonly tensors: readonly Tensor[];
  /** Of the first shard. */
  readonly metadata: Readonly<Record<string, MetadataValue>>;
  /** @defaultValue `"model"` */
  readonly kind?: ModelKind;
  /** What a person should know about how it was read, one sentence each. @defaultValue none */
  readonly notes?: readonly string[];
}
