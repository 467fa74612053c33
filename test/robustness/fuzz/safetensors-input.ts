import type { Random } from "../random.ts";
import { EDGES } from "./mutate.ts";

/** A safetensors file with parts that no writer would write; most are nearly valid. */
export function safetensorsInput(random: Random): Buffer {
  const parts = Array.from({ length: random.below(6) }, (_, index) => tensorEntry(random, index));
  if (random.chance(0.4)) {
    parts.push(`"__metadata__":${random.chance(0.8) ? '{"format":"pt","n":1}' : json(random, 0)}`);
  }
  const header = random.chance(0.95) ? `{${parts.join(",")}}` : json(random, 0);
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  const claimed = random.chance(0.95) ? BigInt(text.length) : random.pick(EDGES);
  length.writeBigUInt64LE(claimed);
  return Buffer.concat([length, text, Buffer.alloc(random.pick([0, 8, 64, 4096]))]);
}

/** The index of a sharded model, which names the files of its tensors. */
export function indexInput(random: Random, shards: readonly string[]): Buffer {
  const names = [...shards, ...HOSTILE_NAMES];
  const weights = Array.from({ length: random.below(6) }, (_, index) => {
    const name = random.chance(0.6) ? random.pick(shards) : random.pick(names);
    return `"w${index}":${random.chance(0.95) ? JSON.stringify(name) : json(random, 0)}`;
  });
  const map = random.chance(0.95) ? `{${weights.join(",")}}` : json(random, 0);
  return Buffer.from(
    random.chance(0.95) ? `{"metadata":{"total_size":1},"weight_map":${map}}` : json(random, 0),
  );
}

export const HOSTILE_NAMES = [
  "..",
  ".",
  "",
  "../outside.safetensors",
  "/etc/passwd",
  "a/../../outside.safetensors",
  "..\\outside.safetensors",
  "C:\\outside.safetensors",
  "nul\0byte",
  "x".repeat(5000),
  "absent.safetensors",
  "__proto__",
] as const;

function number(random: Random): string {
  if (random.chance(0.7)) return String(random.below(64));
  return random.pick([...EDGES.map(String), "-1", "0.5", "1e308", "-0", "1e-9", '"8"', "null"]);
}

function tensorEntry(random: Random, index: number): string {
  const name = random.chance(0.9) ? `w${index}` : random.pick(["", "w0", "__proto__", "toString"]);
  const dtype = random.chance(0.9) ? '"F32"' : json(random, 1);
  const shape = random.chance(0.9) ? `[${number(random)},${number(random)}]` : json(random, 1);
  const begin = 8 * index;
  const span = random.chance(0.6)
    ? `[${begin},${begin + 8}]`
    : `[${number(random)},${number(random)}]`;
  const offsets = random.chance(0.9) ? span : json(random, 1);
  return `${JSON.stringify(name)}:{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`;
}

/** Any JSON, and some that is none. */
function json(random: Random, depth: number): string {
  if (depth > 3) return "0";
  const inner = () => json(random, depth + 1);
  return random.pick([
    () => "null",
    () => "true",
    () => "{",
    () => "[".repeat(5000),
    () => '"text"',
    () => number(random),
    () => `[${inner()},${inner()}]`,
    () => `{"a":${inner()},"__proto__":${inner()}}`,
  ])();
}
