import type { Random } from "../random.ts";
import { EDGES } from "./mutate.ts";

/** What a shard says of itself. */
export interface SplitInput {
  readonly no: number;
  readonly count: number;
  readonly tensors: number;
}

/**
 * Writes GGUF headers whose every part may be what no writer would write; most are nearly valid.
 *
 * @param split makes it a shard, with one tensor of its own
 */
export function ggufInput(random: Random, split?: SplitInput): Buffer {
  const version = random.chance(0.9) ? 3 : random.pick([0, 1, 2, 4, 2 ** 24, 2 ** 31]);
  const word = version === 1 ? u32 : u64;
  const entries = Array.from({ length: random.below(6) }, () => entry(random, word));
  if (random.chance(0.3)) entries.push(alignment(random, word));
  const tensors =
    split === undefined
      ? Array.from({ length: random.below(6) }, (_, index) => tensor(random, word, index))
      : [tensor(random, word, 0, `blk.${split.no}.w`)];
  if (split !== undefined) entries.push(...splitEntries(random, word, split));
  const tensorCount = random.chance(0.95) ? BigInt(tensors.length) : random.pick(EDGES);
  const entryCount = random.chance(0.95) ? BigInt(entries.length) : random.pick(EDGES);
  const header = Buffer.concat([
    Buffer.from("GGUF"),
    u32(BigInt(version)),
    word(tensorCount),
    word(entryCount),
    ...entries,
    ...tensors,
  ]);
  const padding = random.chance(0.9) ? (32 - (header.length % 32)) % 32 : random.below(64);
  return Buffer.concat([header, Buffer.alloc(padding), Buffer.alloc(random.pick([0, 32, 4096]))]);
}

type Word = (value: bigint) => Buffer;

const u32: Word = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(Number(value % 2n ** 32n));
  return bytes;
};

const u64: Word = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
};

const KEYS = [
  "general.architecture",
  "a",
  "",
  "__proto__",
  "constructor",
  "general.alignment",
  "ü",
];

function text(random: Random, word: Word, value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([
    word(random.chance(0.97) ? BigInt(bytes.length) : random.pick(EDGES)),
    bytes,
  ]);
}

/** Bytes of a value by its type's number; 8 is a string and 9 an array. */
const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8] as const;

function value(random: Random, word: Word, type: number, depth: number): Buffer {
  if (type === 8) return text(random, word, random.pick(["", "llama", "x".repeat(300)]));
  if (type !== 9) return Buffer.alloc(VALUE_BYTES[type] ?? 4, random.below(256));
  const elements = random.chance(0.95) ? random.below(depth > 4 ? 8 : 13) : random.below(99);
  const length = random.below(5);
  const count = random.chance(0.9) ? BigInt(length) : random.pick(EDGES);
  const values = Array.from({ length }, () => value(random, word, elements, depth + 1));
  return Buffer.concat([u32(BigInt(elements)), word(count), ...values]);
}

function entry(random: Random, word: Word): Buffer {
  const type = random.chance(0.97) ? random.below(13) : random.below(2 ** 16);
  const key = text(random, word, random.pick(KEYS));
  return Buffer.concat([key, u32(BigInt(type)), value(random, word, type, 0)]);
}

function alignment(random: Random, word: Word): Buffer {
  const sizes = [0, 1, 3, 8, 32, 64, 4096, 2 ** 30, 2 ** 31, 2 ** 32 - 1];
  const key = Buffer.concat([word(17n), Buffer.from("general.alignment")]);
  const type = random.chance(0.8) ? 4n : random.pick([5n, 10n, 11n, 12n]);
  const bytes = type < 10n ? u32(BigInt(random.pick(sizes))) : u64(random.pick(EDGES));
  return Buffer.concat([key, u32(type), bytes]);
}

function splitEntries(random: Random, word: Word, { no, count, tensors }: SplitInput): Buffer[] {
  return Object.entries({ no, count, "tensors.count": tensors }).map(([name, said]) => {
    const key = Buffer.from(`split.${name}`);
    const value = random.chance(0.97) ? BigInt(said) : random.pick(EDGES);
    return Buffer.concat([word(BigInt(key.length)), key, u32(4n), u32(value)]);
  });
}

function tensor(random: Random, word: Word, index: number, usual = `blk.${index}.w`): Buffer {
  const dimensions = random.chance(0.95) ? random.below(5) : random.below(2 ** 16);
  const shape = Array.from({ length: Math.min(dimensions, 9) }, () =>
    word(random.chance(0.9) ? BigInt(1 + random.below(8)) : random.pick(EDGES)),
  );
  const type = random.chance(0.9) ? random.pick([0, 1, 2, 8, 14, 24]) : random.below(400);
  const offset = random.chance(0.85) ? BigInt(32 * index) : random.pick(EDGES);
  const name = random.chance(0.9) ? usual : random.pick(["", "same", "../x", "\0"]);
  return Buffer.concat([
    text(random, word, name),
    u32(BigInt(dimensions)),
    ...shape,
    u32(BigInt(type)),
    u64(offset),
  ]);
}
