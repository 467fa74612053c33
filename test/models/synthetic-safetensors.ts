import type { Contents } from "./file-writer.ts";
import {
  type SafetensorsSpec,
  type WrittenSafetensors,
  writeSafetensors,
} from "./safetensors-writer.ts";
import { totalByteLength } from "./tensor-spec.ts";

export interface SyntheticSafetensorsOptions {
  /** Ends in `.safetensors`; its folder exists. */
  readonly path: string;
  /** @defaultValue `2` */
  readonly layers?: number;
  /** A multiple of 64. @defaultValue `128` */
  readonly hidden?: number;
  /** Bytes of tensor data to come close to, by widening the feed-forward. */
  readonly targetBytes?: number;
  /** @defaultValue `1` */
  readonly shards?: number;
  /** @defaultValue `1` */
  readonly seed?: number;
  /** @defaultValue `"random"` */
  readonly contents?: Contents;
}

const VOCABULARY = 512;

/** Writes a dense model in `transformers`' tensor names. It has no config or tokenizer and is not meant to run. */
export async function writeSyntheticSafetensors(
  options: SyntheticSafetensorsOptions,
): Promise<WrittenSafetensors> {
  const {
    path,
    layers = 2,
    hidden = 128,
    targetBytes,
    shards = 1,
    seed = 1,
    contents = "random",
  } = options;
  let feedForward = 2 * hidden;
  if (targetBytes !== undefined) {
    const fixed = totalByteLength(transformersTensors(layers, hidden, 0));
    feedForward = Math.max(1, Math.round((targetBytes - fixed) / (layers * 3 * hidden * 2)));
  }
  return writeSafetensors({
    path,
    tensors: transformersTensors(layers, hidden, feedForward),
    shards,
    seed,
    contents,
  });
}

function transformersTensors(
  layers: number,
  hidden: number,
  feedForward: number,
): SafetensorsSpec[] {
  const matrix = (name: string, rows: number, columns: number): SafetensorsSpec => ({
    name: `${name}.weight`,
    dtype: "BF16",
    shape: [rows, columns],
    fill: "weight",
  });
  // F32, so that a model has tensors of two types and an offset that no 4 KiB page starts at.
  const norm = (name: string): SafetensorsSpec => ({
    name: `${name}.weight`,
    dtype: "F32",
    shape: [hidden],
    fill: "norm",
  });
  const blocks = Array.from({ length: layers }, (_, layer) => {
    const prefix = `model.layers.${layer}`;
    return [
      norm(`${prefix}.input_layernorm`),
      matrix(`${prefix}.self_attn.q_proj`, hidden, hidden),
      matrix(`${prefix}.self_attn.k_proj`, hidden / 2, hidden),
      matrix(`${prefix}.self_attn.v_proj`, hidden / 2, hidden),
      matrix(`${prefix}.self_attn.o_proj`, hidden, hidden),
      norm(`${prefix}.post_attention_layernorm`),
      matrix(`${prefix}.mlp.gate_proj`, feedForward, hidden),
      matrix(`${prefix}.mlp.up_proj`, feedForward, hidden),
      matrix(`${prefix}.mlp.down_proj`, hidden, feedForward),
    ];
  });
  return [
    matrix("model.embed_tokens", VOCABULARY, hidden),
    ...blocks.flat(),
    norm("model.norm"),
    matrix("lm_head", VOCABULARY, hidden),
  ];
}
