/** A file of a model, as it was on disk when the model was opened. */
export interface ModelFile {
  /** As the caller gave it, or as it was found beside the given file. */
  readonly path: string;
  /** Bytes. */
  readonly byteLength: number;
  /** Identifies the file: another file that takes its path later has another identity. */
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
 * How an engine uses a file.
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

/** The tensors of a model, with their files and places. Holds nothing open. */
export interface Model {
  readonly format: "gguf" | "safetensors" | "file";
  /** In shard order. */
  readonly files: readonly ModelFile[];
  /** In file order. A plain file is a single tensor with the file's name. */
  readonly tensors: readonly Tensor[];
  /** Of the first shard. */
  readonly metadata: Readonly<Record<string, MetadataValue>>;
  /** @defaultValue `"model"` */
  readonly kind?: ModelKind;
  /** Remarks on how it was read, one sentence each. @defaultValue none */
  readonly notes?: readonly string[];
}
