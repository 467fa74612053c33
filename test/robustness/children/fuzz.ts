/** Opens models that are wrong in every way, and looks at what comes back. */
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Model, openModel, PrefaultError } from "prefault";
import { archive } from "../../helpers/zip-bytes.ts";
import { ggufInput } from "../fuzz/gguf-input.ts";
import { mutate } from "../fuzz/mutate.ts";
import { indexInput, safetensorsInput } from "../fuzz/safetensors-input.ts";
import { Random } from "../random.ts";

interface Argument {
  readonly folder: string;
  readonly inputs: number;
  readonly seed: number;
}

export interface Fuzzed {
  readonly outcomes: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  readonly mostRssBytes: number;
  /** Each with what is needed to see it again. */
  readonly defects: readonly string[];
}

const { folder, inputs, seed } = JSON.parse(process.argv[2] ?? "") as Argument;
const outcomes: Record<string, number> = {};
const defects: string[] = [];
let slowestMs = 0;
let mostRssBytes = 0;

/** Inputs at a time: while one is read, the next is made. */
const AT_A_TIME = 3;

const someBytes = (bytes: Buffer, random: Random) =>
  random.chance(0.7) ? mutate(bytes, random) : bytes;
const SHARDS = ["s-1.safetensors", "s-2.safetensors"] as const;

type Place = (name: string) => string;

/** Each writes one input, and says which file to open. */
const KINDS = {
  gguf(file: Place, random: Random) {
    writeFileSync(file("model.gguf"), someBytes(ggufInput(random), random));
    return file("model.gguf");
  },
  split(file: Place, random: Random) {
    const count = 1 + random.below(3);
    for (let shard = 1; shard <= 3; shard++) {
      const path = file(`split-0000${shard}-of-0000${count}.gguf`);
      const split = { no: shard - 1, count, tensors: count };
      if (random.chance(0.1)) rmSync(path, { force: true });
      else {
        const bytes = ggufInput(random, random.chance(0.95) ? split : undefined);
        writeFileSync(path, random.chance(0.8) ? bytes : someBytes(bytes, random));
      }
    }
    return file(`split-0000${1 + random.below(count + 1)}-of-0000${count}.gguf`);
  },
  llamafile(file: Place, random: Random) {
    const options = { zip64: random.chance(0.5), relative: random.chance(0.5) };
    const entries = Array.from({ length: random.below(3) }, (_, index) => ({
      name: `${index}.gguf`,
      data: ggufInput(random),
      method: random.chance(0.9) ? 0 : 8,
      padding: random.below(40),
    }));
    const bytes = archive(entries, { prefix: Buffer.from("MZqFpD='\n"), ...options });
    writeFileSync(file("model.llamafile"), someBytes(bytes, random));
    return file("model.llamafile");
  },
  safetensors(file: Place, random: Random) {
    writeFileSync(file("model.safetensors"), someBytes(safetensorsInput(random), random));
    return file("model.safetensors");
  },
  index(file: Place, random: Random) {
    for (const name of SHARDS) writeFileSync(file(name), safetensorsInput(random));
    const path = file("model.safetensors.index.json");
    const bytes = indexInput(random, SHARDS);
    writeFileSync(path, random.chance(0.2) ? mutate(bytes, random) : bytes);
    return path;
  },
} as const;

type Kind = keyof typeof KINDS;
const SHARES: readonly Kind[] = [
  "gguf",
  "gguf",
  "gguf",
  "split",
  "llamafile",
  "safetensors",
  "safetensors",
  "index",
];

function flaw({ files, tensors, format }: Model): string | null {
  const sizes = files.map(({ path }) => statSync(path).size);
  const outside = files.find(({ path }) => !path.startsWith(`${folder}/`));
  if (outside !== undefined) return `opened ${outside.path}`;
  const names = new Set<string>();
  for (const { name, file: index, offset, byteLength } of tensors) {
    const size = sizes[index] ?? -1;
    const numbers = Number.isSafeInteger(offset) && Number.isSafeInteger(byteLength);
    const least = format === "file" ? 0 : 8;
    if (!numbers || offset < least || byteLength < 0 || offset + byteLength > size) {
      return `tensor ${name} at ${offset}, ${byteLength} bytes, in a file of ${size}`;
    }
    if (names.has(name)) return `two tensors ${name}`;
    names.add(name);
  }
  return null;
}

async function open(path: string): Promise<string> {
  try {
    const wrong = flaw(await openModel(path));
    return wrong === null ? "model" : `defect: ${wrong}`;
  } catch (error) {
    if (!PrefaultError.is(error)) return `defect: ${error}`;
    return error.code === "PREFAULT_INTERNAL" ? `defect: ${error.message}` : error.code;
  }
}

async function tryOne(input: number, place: Place): Promise<void> {
  // Each has a seed of its own, so that it can be made again alone.
  const random = new Random(seed * 2 ** 24 + input);
  const kind = random.pick(SHARES);
  const path = KINDS[kind](place, random);
  let started = performance.now();
  const outcome = await open(path);
  let tookMs = performance.now() - started;
  if (tookMs > 500) {
    // The machine may have been busy with something else.
    started = performance.now();
    await open(path);
    tookMs = Math.min(tookMs, performance.now() - started);
  }
  slowestMs = Math.max(slowestMs, tookMs);
  if (input % 256 === 0) mostRssBytes = Math.max(mostRssBytes, process.memoryUsage.rss());
  const isDefect = outcome.startsWith("defect");
  if (isDefect) defects.push(`${kind} #${input} of seed ${seed}: ${outcome}`);
  const counted = isDefect ? "defect" : `${kind}: ${outcome}`;
  outcomes[counted] = (outcomes[counted] ?? 0) + 1;
}

let tried = 0;
async function slot(number: number): Promise<void> {
  const own = join(folder, String(number));
  mkdirSync(own, { recursive: true });
  for (; tried < inputs; ) await tryOne(tried++, (name) => join(own, name));
}

await Promise.all(Array.from({ length: AT_A_TIME }, (_, number) => slot(number)));
rmSync(folder, { recursive: true });
const fuzzed: Fuzzed = { outcomes, slowestMs, mostRssBytes, defects: defects.slice(0, 10) };
console.log(JSON.stringify(fuzzed));
