import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openModel } from "prefault";
import { describe, expect, test } from "vitest";
import {
  arrayEntry,
  ggufBytes,
  splitEntries,
  stringEntry,
  tensorInfo,
} from "../helpers/gguf-bytes.ts";
import { parseOutput } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import type { Fuzzed } from "./children/fuzz.ts";
import { HOSTILE_NAMES } from "./fuzz/safetensors-input.ts";
import { runScript } from "./run-script.ts";

const MIB = 1024 ** 2;
/** In all; split between two processes, since a small machine of a CI has two processors. */
const INPUTS = 200_000;
const PROCESSES = 2;

const folder = temporaryFolder();
let files = 0;

const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: bigint) => Buffer.from(BigUint64Array.of(value).buffer);

function written(extension: string, bytes: Buffer | string): string {
  const path = join(folder, `${files++}${extension}`);
  writeFileSync(path, bytes);
  return path;
}

/** How opening it fails, in less than a second. */
async function failureOf(path: string) {
  const started = performance.now();
  const error = await openModel(path).then(
    () => undefined,
    (thrown: { code: string; message: string }) => thrown,
  );
  expect(performance.now() - started).toBeLessThan(1000);
  return error;
}

const uint32Entry = (key: string, value: number) =>
  Buffer.concat([u64(BigInt(key.length)), Buffer.from(key), u32(4), u32(value)]);

/** Arrays in arrays, down to one of bytes. */
function nestedEntry(depth: number): Buffer {
  const levels = Array.from({ length: depth }, () => Buffer.concat([u32(9), u64(1n)]));
  return Buffer.concat([u64(1n), Buffer.from("n"), u32(9), ...levels, u32(0), u64(0n)]);
}

describe("a GGUF header", () => {
  test.each([
    ["2^63 tensors", { tensorCount: 2n ** 63n }],
    ["more tensors than its file has room for", { tensorCount: 3000n, dataBytes: 4096 }],
    ["2^63 metadata entries", { entryCount: 2n ** 63n }],
    ["a string of 2^63 bytes", { entries: [stringEntry("k", "v", 2n ** 63n)] }],
    ["a million strings that are not there", { entries: [arrayEntry("k", 1_000_000n)] }],
    ["2^63 numbers", { entries: [arrayEntry("k", 2n ** 63n)] }],
    ["arrays in arrays in arrays", { entries: [nestedEntry(40)] }],
    ["an offset near 2^64", { tensors: [tensorInfo({ offset: 2n ** 64n - 32n })] }],
    ["a length that overflows", { tensors: [tensorInfo({ shape: [2n ** 32n, 2n ** 32n] })] }],
    ["a dimension of 2^63", { tensors: [tensorInfo({ shape: [2n ** 63n] })] }],
    ["four billion dimensions", { tensors: [tensorInfo({ dimensions: 2 ** 32 - 1 })] }],
    ["two tensors of one name", { tensors: [tensorInfo({}), tensorInfo({})] }],
    ["an alignment of 0", { entries: [uint32Entry("general.alignment", 0)] }],
    ["an alignment that is no power of two", { entries: [uint32Entry("general.alignment", 33)] }],
    ["an alignment of 2 GiB", { entries: [uint32Entry("general.alignment", 2 ** 31)] }],
    ["two entries of one key", { entries: [stringEntry("k", "v"), stringEntry("k", "w")] }],
  ])("with %s is refused", async (_, header) => {
    const path = written(".gguf", ggufBytes(header));
    expect(await failureOf(path)).toMatchObject({ code: "PREFAULT_INVALID_MODEL", path });
  });

  test("with a million empty strings, which are there, is read in time", async () => {
    const strings = Buffer.alloc(8 * 1_000_000);
    const entry = Buffer.concat([
      u64(1n),
      Buffer.from("s"),
      u32(9),
      u32(8),
      u64(1_000_000n),
      strings,
    ]);
    const path = written(".gguf", ggufBytes({ entries: [entry] }));
    const { tensors } = await openModel(path);
    expect(tensors).toHaveLength(1);
  });

  test("with a key __proto__ keeps it as an ordinary key", async () => {
    const path = written(".gguf", ggufBytes({ entries: [arrayEntry("__proto__", 0n)] }));
    const { metadata } = await openModel(path);
    expect(Object.keys(metadata)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(metadata)).toBe(Object.prototype);
  });

  test("of a split model with two tensors of one name in two shards is refused", async () => {
    const shards = [1, 2].map((shard) => join(folder, `twice-0000${shard}-of-00002.gguf`));
    for (const [no, path] of shards.entries()) {
      writeFileSync(path, ggufBytes({ entries: splitEntries(no, 2, 2) }));
    }
    expect(await failureOf(shards[0] ?? "")).toMatchObject({ code: "PREFAULT_INVALID_MODEL" });
  });

  test("of a file that is all hole is refused", async () => {
    const path = written(".gguf", ggufBytes({ tensorCount: 100_001n, dataBytes: 64 * MIB }));
    expect(await failureOf(path)).toMatchObject({ code: "PREFAULT_INVALID_MODEL" });
  });
});

describe("a safetensors file", () => {
  const withHeader = (header: string, claimed = BigInt(header.length), data = 64) =>
    Buffer.concat([u64(claimed), Buffer.from(header), Buffer.alloc(data)]);
  const withSpan = (span: string) => `{"a":{"dtype":"F32","shape":[1],"data_offsets":${span}}}`;

  test.each([
    ["a header of 2^63 bytes", withHeader("{}", 2n ** 63n)],
    ["a header longer than the file", withHeader("{}", 100n)],
    ["a tensor past the end", withHeader(withSpan("[0,65]"))],
    ["a tensor that begins before the header's end", withHeader(withSpan("[-8,8]"))],
    ["a tensor that ends before it begins", withHeader(withSpan("[8,0]"))],
    ["a length that overflows", withHeader(withSpan("[0,18446744073709551615]"))],
    ["offsets that are no numbers", withHeader(withSpan('["0","8"]'))],
    ["deep JSON", withHeader("[".repeat(100_000))],
  ])("with %s is refused", async (_, bytes) => {
    const path = written(".safetensors", bytes);
    expect(await failureOf(path)).toMatchObject({ code: "PREFAULT_INVALID_MODEL", path });
  });

  test("may be called anything in an index but another place", async () => {
    for (const name of HOSTILE_NAMES) {
      const index = JSON.stringify({ weight_map: { a: name } });
      const path = written(".safetensors.index.json", index);
      const error = await failureOf(path);
      const isPlain = name === "__proto__" || /^[\w.]*\w\.safetensors$|^x+$/.test(name);
      if (!isPlain) expect(error).toMatchObject({ code: "PREFAULT_INVALID_MODEL", path });
      else expect(error?.code).toMatch(/^PREFAULT_(MISSING_SHARD|READ_FAILED)$/);
    }
  });

  test("with a tensor that another shard has as well is refused", async () => {
    for (const name of ["one", "two"]) {
      writeFileSync(join(folder, `${name}.safetensors`), withHeader(withSpan("[0,4]")));
    }
    const index = { weight_map: { a: "one.safetensors", b: "two.safetensors" } };
    const path = written(".safetensors.index.json", JSON.stringify(index));
    expect(await failureOf(path)).toMatchObject({ code: "PREFAULT_INVALID_MODEL" });
  });
});

test(`of ${INPUTS} models that are wrong in some way each is a model or an error`, async () => {
  // In memory where there is such a place: it is about the parser, and not about the disk.
  const place = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const own = mkdtempSync(join(place, "prefault-fuzz-"));
  const runs = Array.from({ length: PROCESSES }, (_, seed) =>
    runScript(
      "fuzz",
      { folder: join(own, String(seed)), inputs: INPUTS / PROCESSES, seed },
      { timeoutMs: 600_000 },
    ),
  );
  let opened = 0;
  for (const child of await Promise.all(runs)) {
    const output = parseOutput<Fuzzed>(child);
    expect(child.stderr).toBe("");
    expect(output.defects).toEqual([]);
    expect(output.slowestMs).toBeLessThan(1000);
    expect(output.mostRssBytes).toBeLessThan(400 * MIB);
    const { outcomes } = output;
    opened += Object.values(outcomes).reduce((sum, count) => sum + count, 0);
    // Else nothing but the first check was tried.
    for (const kind of ["gguf", "split", "llamafile", "safetensors", "index"]) {
      expect(outcomes[`${kind}: model`], kind).toBeGreaterThan(INPUTS / PROCESSES / 1000);
    }
  }
  expect(opened).toBe(INPUTS);
}, 600_000);
