import { blockOf, type Dtype } from "./dtype.ts";
import type { Fill, TensorSpec } from "./tensor-spec.ts";

/**
 * Random bytes held per element type. Large enough that a file system's compression window never sees a
 * repeat, small enough to be made in a few milliseconds.
 */
const POOL_BYTES = 4 * 1024 ** 2;

/**
 * Contents of one tensor, in pieces that share memory with a pool: write them, do not change them.
 *
 * A multi-GiB model is the pool over and over. Every lap starts at another block, so no two chunks of a
 * file are equal at the same distance, and every piece is whole blocks, so the result is valid everywhere.
 */
export function* tensorData(
  tensor: TensorSpec,
  byteLength: number,
  seed: number,
): Generator<Uint8Array> {
  const { bytes: blockBytes } = blockOf(tensor.dtype);
  const pool = poolOf(tensor.dtype, tensor.fill, seed);
  const blocks = pool.byteLength / blockBytes;
  const random = randomWords(hash(tensor.name, seed));
  for (let written = 0; written < byteLength; ) {
    const start = (random() % blocks) * blockBytes;
    const piece = pool.subarray(start, Math.min(pool.byteLength, start + byteLength - written));
    yield piece;
    written += piece.byteLength;
  }
}

let pools: { seed: number; byKind: Map<string, Uint8Array> } = { seed: 0, byKind: new Map() };

function poolOf(dtype: Dtype, fill: Fill, seed: number): Uint8Array {
  if (pools.seed !== seed) pools = { seed, byKind: new Map() };
  const kind = `${dtype} ${fill}`;
  let pool = pools.byKind.get(kind);
  if (pool === undefined) {
    pool = makePool(dtype, fill, hash(kind, seed));
    pools.byKind.set(kind, pool);
  }
  return pool;
}

function makePool(dtype: Dtype, fill: Fill, seed: number): Uint8Array {
  const random = randomWords(seed);
  const words = new Uint32Array(POOL_BYTES / 4);
  for (let i = 0; i < words.length; i++) words[i] = random();
  if (dtype === "F32") {
    const [low, high] = F32_RANGE[fill];
    const floats = new Float32Array(words.buffer);
    for (let i = 0; i < words.length; i++)
      floats[i] = low + ((words[i] ?? 0) / 2 ** 32) * (high - low);
    return new Uint8Array(words.buffer);
  }
  const blockBytes = blockOf(dtype).bytes;
  const blocks = Math.floor(POOL_BYTES / blockBytes);
  const view = new DataView(words.buffer, 0, blocks * blockBytes);
  for (let at = 0; at < view.byteLength; at += blockBytes) tame(dtype, view, at);
  return new Uint8Array(view.buffer, 0, view.byteLength);
}

const F32_RANGE: Readonly<Record<Fill, readonly [number, number]>> = {
  weight: [-0.05, 0.05],
  norm: [0.9, 1.1],
  decay: [-1, -0.1],
};

/**
 * Random quants are fine as they are; a random fp16 scale is not (it is infinite or NaN one time in 32).
 * Keeps the mantissa and sets the exponent so that weights have a deviation near 0.02, as trained ones do.
 * Layouts: `block_*` in ggml's `ggml-common.h`.
 */
function tame(dtype: Exclude<Dtype, "F32">, view: DataView, at: number): void {
  const half = (offset: number, exponent: number): number => {
    const bits = ((exponent + 15) << 10) | (view.getUint16(at + offset, true) & 0x3ff);
    view.setUint16(at + offset, bits, true);
    return bits;
  };
  switch (dtype) {
    case "F16": {
      const sign = view.getUint16(at, true) & 0x8000;
      view.setUint16(at, half(0, -6) | sign, true);
      break;
    }
    case "BF16":
      view.setUint16(at, (view.getUint16(at, true) & 0x807f) | ((127 - 6) << 7), true);
      break;
    case "Q4_0":
      half(0, -8);
      break;
    case "Q4_K":
      half(0, -14); // d
      half(2, -11); // dmin: mean of 8 quant steps, so that the weights centre on zero
      break;
    case "Q5_0":
      half(0, -9);
      break;
    case "Q5_1":
      view.setUint16(at + 2, 0x8000 | (half(0, -9) + (4 << 10)), true); // m = -16 d centres 0..31
      break;
    case "Q6_K":
      for (let i = 192; i < 208; i++) view.setInt8(at + i, (view.getUint8(at + i) & 15) + 1);
      half(208, -13);
      break;
    case "Q8_0":
      half(0, -12);
      break;
  }
}

/** xorshift32: not good randomness, but seeded, and quicker than a disk. */
function randomWords(seed: number): () => number {
  let state = seed >>> 0 || 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
}

/** FNV-1a, so that a tensor's contents depend on its name and the seed, and not on its neighbours. */
function hash(text: string, seed: number): number {
  let value = (0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1)) >>> 0;
  for (let i = 0; i < text.length; i++)
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return value;
}
