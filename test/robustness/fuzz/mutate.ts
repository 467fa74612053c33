import type { Random } from "../random.ts";

/** Numbers on the edges of what a count, a length or an offset can be. */
export const EDGES = [
  0n,
  1n,
  2n,
  7n,
  31n,
  32n,
  33n,
  4095n,
  4096n,
  65_535n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 62n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 32n,
  2n ** 64n - 1n,
] as const;

/** Changes bytes in the ways that break parsers: edges in place of numbers, cuts, repeats, noise. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  let mutated: Buffer = Buffer.from(bytes);
  for (let times = 1 + random.below(4); times > 0; times--) {
    mutated = MUTATIONS[random.below(MUTATIONS.length)]?.(mutated, random) ?? mutated;
  }
  return mutated;
}

type Mutation = (bytes: Buffer, random: Random) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  function flipBit(bytes, random) {
    const at = random.below(Math.max(bytes.length, 1));
    if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
    return bytes;
  },
  function setByte(bytes, random) {
    if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
    return bytes;
  },
  function edge64(bytes, random) {
    if (bytes.length < 8) return bytes;
    bytes.writeBigUInt64LE(random.pick(EDGES), random.below(bytes.length - 7));
    return bytes;
  },
  function edge32(bytes, random) {
    if (bytes.length < 4) return bytes;
    const value = Number(random.pick(EDGES) % 2n ** 32n);
    bytes.writeUInt32LE(value, random.below(bytes.length - 3));
    return bytes;
  },
  // The counts and lengths of both formats stand in the first bytes.
  function edgeInFront(bytes, random) {
    if (bytes.length < 24) return bytes;
    bytes.writeBigUInt64LE(random.pick(EDGES), random.pick([0, 8, 16]));
    return bytes;
  },
  function nearLength(bytes, random) {
    if (bytes.length < 8) return bytes;
    const value = BigInt(bytes.length + random.below(17) - 8);
    bytes.writeBigUInt64LE(value < 0n ? 0n : value, random.below(bytes.length - 7));
    return bytes;
  },
  function cut(bytes, random) {
    return bytes.subarray(0, random.below(bytes.length + 1));
  },
  function repeat(bytes, random) {
    const from = random.below(bytes.length + 1);
    const to = from + random.below(bytes.length - from + 1);
    const slice = bytes.subarray(from, to);
    const at = random.below(bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, at), slice, bytes.subarray(at)]);
  },
  function drop(bytes, random) {
    const from = random.below(bytes.length + 1);
    const to = from + random.below(Math.min(32, bytes.length - from + 1));
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  function grow(bytes, random) {
    return Buffer.concat([bytes, Buffer.alloc(random.below(4096))]);
  },
];
