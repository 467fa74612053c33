import { metadataOf, tensorsOf } from "./architecture.ts";
import type { Contents } from "./file-writer.ts";
import { type WrittenModel, writeGguf } from "./gguf-writer.ts";
import { defaultShape, fitToTarget, type ModelKind, type ModelShape } from "./model-shape.ts";
import { totalByteLength } from "./tensor-spec.ts";

export interface SyntheticModelOptions extends Partial<ModelShape> {
  readonly kind: ModelKind;
  /** Ends in `.gguf`; its folder exists. A split model's files get `-00001-of-0000N` in front of that. */
  readonly path: string;
  /**
   * Bytes of tensor data to come close to (within a few percent above 16 MiB), by widening the experts, the dense
   * feed-forward or the per-layer table. Overrides that width, and scales the defaults of what is not given.
   *
   * @defaultValue none: the smallest sensible model, 1 to 3 MB
   */
  readonly targetBytes?: number;
  /** @defaultValue `1` */
  readonly shards?: number;
  /** Puts a shard without tensors in front. @defaultValue `false` */
  readonly metadataShard?: boolean;
  /** Same seed and options, same bytes. @defaultValue `1` */
  readonly seed?: number;
  /** @defaultValue `"random"` */
  readonly contents?: Contents;
}

/** Writes a GGUF model with the structure of a real one and random weights. */
export async function writeSyntheticModel(options: SyntheticModelOptions): Promise<WrittenModel> {
  const {
    kind,
    path,
    targetBytes,
    shards = 1,
    metadataShard = false,
    seed = 1,
    contents = "random",
    ...given
  } = options;
  const wanted: ModelShape = { ...defaultShape(kind, targetBytes), ...given };
  const shape =
    targetBytes === undefined
      ? wanted
      : fitToTarget(kind, wanted, targetBytes, (candidate) =>
          totalByteLength(tensorsOf(kind, candidate)),
        );
  return writeGguf({
    path,
    metadata: metadataOf(kind, shape),
    tensors: tensorsOf(kind, shape),
    shards,
    metadataShard,
    seed,
    contents,
  });
}

export type { ModelKind, WrittenModel };
