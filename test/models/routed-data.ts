import { blockOf, type Dtype } from "./dtype.ts";
import { tensorData } from "./tensor-data.ts";
import type { TensorSpec } from "./tensor-spec.ts";

/** Bytes of quantised blocks that a tensor is made of, again and again from another block on. */
const POOL_BYTES = 4 * 1024 ** 2;

/**
 * Where a block's fp16 scales lie. All of one block get one sign: Q5_1's minimum must follow its scale
 * for the weights to stay centred on zero.
 */
const SCALES: Partial<Readonly<Record<Dtype, readonly number[]>>> = {
  Q5_0: [0],
  Q5_1: [0, 2],
  Q6_K: [208],
  Q8_0: [0],
};

/**
 * Contents of a quantised tensor whose blocks have scales of either sign.
 *
 * With scales of one sign every row has the same small mean, for a quant's values are not quite
 * centred: all rows then answer alike, and a router that follows chooses the same experts for ever.
 *
 * @param exponent the weights are 2 to this power times as large as the other synthetic models' (0.02)
 * @throws RangeError for an element type whose blocks are not known here
 */
export function* signedData(
  spec: TensorSpec,
  byteLength: number,
  exponent: number,
  seed: number,
): Generator<Uint8Array> {
  const pool = poolOf(spec.dtype, exponent, seed);
  const { bytes } = blockOf(spec.dtype);
  const random = randoms(seedOf(spec.name, seed));
  for (let written = 0; written < byteLength; ) {
    const start = Math.floor((random() * pool.byteLength) / bytes) * bytes;
    const piece = pool.subarray(start, Math.min(pool.byteLength, start + byteLength - written));
    yield piece;
    written += piece.byteLength;
  }
}

/**
 * The rows of a router, one an expert. A row's length decides how often its expert is chosen: the
 * router's answers spread as widely as its row is long, and the highest are chosen.
 *
 * @param skew rows are exp(skew · z) times as long as others, z normal; 0 gives all the same length
 */
export function routerRows(spec: TensorSpec, skew: number, seed: number): Uint8Array {
  const [hidden = 0, experts = 0] = spec.shape;
  const random = randoms(seedOf(spec.name, seed));
  const rows = new Float32Array(hidden * experts);
  for (let expert = 0; expert < experts; expert++) {
    const length = ROUTER_DEVIATION * Math.exp(skew * normal(random));
    for (let at = 0; at < hidden; at++) rows[expert * hidden + at] = length * normal(random);
  }
  return new Uint8Array(rows.buffer);
}

/** Of a router's weights, where rows are equally long. */
const ROUTER_DEVIATION = 0.05;

let pools: { seed: number; byKind: Map<string, Uint8Array> } = { seed: 0, byKind: new Map() };

function poolOf(dtype: Dtype, exponent: number, seed: number): Uint8Array {
  if (pools.seed !== seed) pools = { seed, byKind: new Map() };
  const kind = `${dtype} ${exponent}`;
  const made = pools.byKind.get(kind) ?? makePool(dtype, exponent, seed);
  pools.byKind.set(kind, made);
  return made;
}

function makePool(dtype: Dtype, exponent: number, seed: number): Uint8Array {
  const scales = SCALES[dtype];
  if (scales === undefined) throw new RangeError(`${dtype} blocks are not given signs`);
  const { bytes, elements } = blockOf(dtype);
  const blocks = Math.floor(POOL_BYTES / bytes);
  const spec: TensorSpec = { name: dtype, dtype, shape: [elements, blocks], fill: "weight" };
  const pool = Buffer.concat([...tensorData(spec, blocks * bytes, seed)]);
  const random = randoms(seedOf(dtype, seed));
  for (let block = 0; block < pool.byteLength; block += bytes) {
    const sign = random() < 0.5 ? 0x8000 : 0;
    for (const scale of scales) {
      const half = pool.readUInt16LE(block + scale);
      pool.writeUInt16LE((half ^ sign) + (exponent << 10), block + scale);
    }
  }
  return pool;
}

/** mulberry32: seeded, and good enough for normal deviates. Gives numbers from 0 up to 1. */
function randoms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Box and Muller's. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** FNV-1a of a tensor's name: what it holds does not depend on its neighbours. */
function seedOf(name: string, seed: number): number {
  let value = (0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1)) >>> 0;
  for (const letter of Buffer.from(name)) value = Math.imul(value ^ letter, 0x01000193) >>> 0;
  return value;
}
