import fc from "fast-check";
import type { MetadataValue, Model, Tensor } from "../../../src/model/model.ts";

/** A mixture of experts that exists on paper, with tensors one after the other in one file or several. */
export interface PaperModel {
  readonly layers?: number;
  readonly experts?: number;
  readonly used?: number;
  readonly dense?: number;
  readonly mtp?: number;
  /** Bytes of one expert's slice in each of gate, up and down. */
  readonly sliceBytes?: number;
  /** Bytes of a slice by layer; wins over {@link sliceBytes}. */
  readonly sliceBytesOf?: (layer: number) => number;
  readonly files?: number;
  readonly inputs?: number;
  readonly architecture?: string;
  readonly dtype?: string;
  /** Bytes between tensors. */
  readonly gap?: number;
}

export function paperModel(paper: PaperModel = {}): Model {
  const {
    layers = 3,
    experts = 8,
    used = 2,
    dense = 0,
    mtp = 0,
    sliceBytes = 10_000,
    sliceBytesOf = () => sliceBytes,
    files = 1,
    inputs = 64,
    architecture = "qwen3moe",
    dtype = "Q4_K",
    gap = 0,
  } = paper;
  const tensors: Tensor[] = [];
  const ends = Array.from({ length: files }, () => 1000);
  const add = (name: string, file: number, byteLength: number, shape: number[]): void => {
    const offset = ends[file] ?? 0;
    tensors.push({ name, file, offset, byteLength, dtype, shape });
    ends[file] = offset + byteLength + gap;
  };
  for (let layer = 0; layer < layers + mtp; layer++) {
    const file = layer % files;
    add(`blk.${layer}.attn_q.weight`, file, 5000, [inputs, 64]);
    if (layer < dense) {
      add(`blk.${layer}.ffn_gate.weight`, file, 9000, [inputs, 64]);
      continue;
    }
    // A split model may be cut anywhere, between the parts of one expert too.
    for (const [index, part] of ["down", "gate", "up"].entries()) {
      const name = `blk.${layer}.ffn_${part}_exps.weight`;
      const shape = [inputs, 32, experts];
      add(name, (file + index) % files, sliceBytesOf(layer) * experts, shape);
    }
  }
  const metadata: Record<string, MetadataValue> = {
    "general.architecture": architecture,
    [`${architecture}.block_count`]: layers + mtp,
    [`${architecture}.expert_count`]: experts,
    [`${architecture}.expert_used_count`]: used,
    ...(mtp > 0 ? { [`${architecture}.nextn_predict_layers`]: mtp } : {}),
  };
  const paths = ends.map((byteLength, file) => ({ path: `/paper/${file}.gguf`, byteLength }));
  return { format: "gguf", files: paths, tensors, metadata };
}

/** Small models of every form, with slices below, at and above the size of a page. */
export const arbitraryModel: fc.Arbitrary<Model> = fc
  .record({
    layers: fc.integer({ min: 1, max: 5 }),
    experts: fc.integer({ min: 1, max: 12 }),
    dense: fc.integer({ min: 0, max: 1 }),
    mtp: fc.integer({ min: 0, max: 1 }),
    sizes: fc.array(fc.constantFrom(1, 100, 4095, 4096, 4097, 10_000, 65_536, 200_001), {
      minLength: 6,
      maxLength: 6,
    }),
    files: fc.integer({ min: 1, max: 2 }),
    gap: fc.constantFrom(0, 32, 5000),
  })
  .map(({ sizes, ...rest }) =>
    paperModel({ ...rest, sliceBytesOf: (layer) => sizes[layer] ?? 1, used: 1 }),
  );

/** Rows for a profile of a model: weights of every kind, some rows empty. */
export function arbitraryRows(layers: number, experts: number): fc.Arbitrary<Float64Array[]> {
  const weight = fc.oneof(
    fc.constant(0),
    fc.integer({ min: 1, max: 9 }),
    fc.double({ min: 0, max: 1e6, noNaN: true }).map((value) => value + 0),
  );
  const row = fc
    .array(weight, { minLength: experts, maxLength: experts })
    .map((weights) => Float64Array.from(weights, (each) => (Object.is(each, -0) ? 0 : each)));
  const rows = fc.oneof({ weight: 4, arbitrary: row }, fc.constant(new Float64Array(0)));
  return fc.array(rows, { minLength: layers, maxLength: layers });
}
