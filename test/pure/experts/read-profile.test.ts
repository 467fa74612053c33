import { appendFileSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Profile } from "../../../src/experts/profile.ts";
import { readProfile } from "../../../src/experts/read-profile.ts";
import { ggufBytes } from "../../helpers/gguf-bytes.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";
import { string, u32 } from "../../models/gguf-metadata.ts";
import { type CountedTensor, oldImatrix, writeImatrix } from "../../models/imatrix.ts";
import { writeSyntheticModel } from "../../models/synthetic-model.ts";

const folder = temporaryFolder();
let files = 0;
const fresh = (suffix: string) => join(folder, `${files++}${suffix}`);

function file(bytes: string | Buffer, suffix = ".any"): string {
  const path = fresh(suffix);
  writeFileSync(path, bytes);
  return path;
}

const rows = ({ weights }: Profile) => weights.map((row) => [...row]);
const refusal = (message: RegExp) =>
  expect.objectContaining({
    name: "PrefaultError",
    code: "PREFAULT_INVALID_OPTION",
    message: expect.stringMatching(message),
  });

const counted = (
  block: number,
  counts: readonly number[],
  parts: readonly string[] = ["gate", "up", "down"],
): CountedTensor[] =>
  parts.map((part) => ({ name: `blk.${block}.ffn_${part}_exps.weight`, inputs: 64, counts }));

const router: CountedTensor = { name: "blk.1.ffn_gate_inp.weight", inputs: 64, counts: [5120] };

async function imatrix(
  tensors: readonly CountedTensor[],
  options: Partial<Parameters<typeof writeImatrix>[0]> = {},
): Promise<string> {
  const path = fresh(".gguf");
  await writeImatrix({ path, tensors: [router, ...tensors], ...options });
  return path;
}

describe("an imatrix in GGUF", () => {
  test("has a row of counts for each block, by its number", async () => {
    const path = await imatrix([...counted(1, [7, 0, 3, 10]), ...counted(2, [1, 2, 3, 4])]);
    const profile = await readProfile(path);
    expect(rows(profile)).toEqual([[], [7, 0, 3, 10], [1, 2, 3, 4]]);
    expect(profile).toMatchObject({ source: "imatrix", layers: 3, experts: 4, samples: 5120 });
    expect(profile.inputLengths.get("blk.1.ffn_gate_exps.weight")).toBe(64);
    expect(profile.notes).toEqual([]);
  });

  test("is known by its content, whatever its suffix", async () => {
    const path = await imatrix(counted(0, [1, 2]));
    const renamed = join(folder, "imatrix_unsloth.gguf_file");
    renameSync(path, renamed);
    expect(rows(await readProfile(renamed))).toEqual([[1, 2]]);
  });

  test("may count gate and up in one, or a tensor for each expert", async () => {
    const merged = await imatrix(counted(0, [4, 5], ["gate_up", "down"]));
    expect(rows(await readProfile(merged))).toEqual([[4, 5]]);
    const single = await imatrix(
      [0, 1, 2].map((expert) => ({
        name: `blk.0.ffn_up.${expert}.weight`,
        inputs: 64,
        counts: [expert + 1],
      })),
    );
    expect(rows(await readProfile(single))).toEqual([[1, 2, 3]]);
  });

  test("says when its parts were counted differently, and takes gate", async () => {
    const path = await imatrix([...counted(0, [9, 1], ["gate"]), ...counted(0, [5, 5], ["down"])]);
    const profile = await readProfile(path);
    expect(rows(profile)).toEqual([[9, 1]]);
    expect(profile.notes).toEqual([expect.stringContaining("in 1 of 1 layers")]);
  });

  test("has no number of samples when it does not say its chunks", async () => {
    const metadata = { "general.type": string("imatrix"), "imatrix.chunk_count": u32(3) };
    const path = await imatrix(counted(0, [1, 2]), { metadata });
    expect((await readProfile(path)).samples).toBeNull();
  });

  test.each([
    ["a NaN", Number.NaN],
    ["a negative count", -1],
    ["an infinite one", Number.POSITIVE_INFINITY],
  ])("with %s is refused", async (_, count) => {
    const path = await imatrix(counted(0, [1, count]));
    await expect(readProfile(path)).rejects.toThrow(refusal(/ffn_.*counts says .* of expert 1/));
  });

  test("of a dense model is refused", async () => {
    await expect(readProfile(await imatrix([]))).rejects.toThrow(refusal(/of a dense model/));
  });

  test("that was converted from the old format is refused", async () => {
    const path = await imatrix(counted(0, [5120]));
    await expect(readProfile(path)).rejects.toThrow(refusal(/no counts for each expert/));
  });

  test("that is cut off is refused, in its header and in its counts", async () => {
    const path = await imatrix(counted(0, [1, 2, 3, 4]));
    // The last expert's count ends here; a router's sums and its count follow.
    truncateSync(path, readFileSync(path).length - 280);
    await expect(readProfile(path)).rejects.toThrow(refusal(/cut off/));
    truncateSync(path, 500);
    await expect(readProfile(path)).rejects.toThrow(refusal(/cut off/));
  });

  test("can be read in the other byte order", async () => {
    // A version 3 header by hand: one entry, one tensor of two counts.
    const name = "blk.0.ffn_gate_exps.weight.counts";
    const text = (value: string) => {
      const length = Buffer.alloc(8);
      length.writeBigUInt64BE(BigInt(value.length));
      return Buffer.concat([length, Buffer.from(value)]);
    };
    const u = (value: number) => Buffer.from([0, 0, 0, value]);
    const u64 = (value: number) => Buffer.concat([u(0), u(value)]);
    const header = Buffer.concat([
      Buffer.from("GGUF"),
      ...[u(3), u64(1), u64(1), text("general.type"), u(8), text("imatrix")],
      ...[text(name), u(2), u64(1), u64(2), u(0), u64(0)],
    ]);
    const data = Buffer.alloc(8);
    data.writeFloatBE(6, 0);
    data.writeFloatBE(2.5, 4);
    const padding = Buffer.alloc((32 - (header.length % 32)) % 32);
    const path = file(Buffer.concat([header, padding, data]));
    expect(rows(await readProfile(path))).toEqual([[6, 2.5]]);
  });
});

describe("a CSV", () => {
  test.each<[string, string | Buffer, number[][], number | null]>([
    [
      "with counts",
      "0,1,5\n0,0,2\n1,1,9\n",
      [
        [2, 5],
        [0, 9],
      ],
      null,
    ],
    ["with a header", "layer,expert,count\n0,1,5\n", [[0, 5]], null],
    ["with columns in another order", "expert,hits,layer_id\n1,5,2\n", [[], [], [0, 5]], null],
    ["with comments and blanks", "# a\n\n0,0,1\n\n# b\n0,1,2\n\n", [[1, 2]], null],
    ["from Windows", "\uFEFFlayer,expert,count\r\n0,0,1\r\n0,1,2\r\n", [[1, 2]], null],
    ["of an old Macintosh", "0,0,1\r0,1,2", [[1, 2]], null],
    ["without a last line end", "0,0,1\n0,1,2", [[1, 2]], null],
    ["with semicolons", "0;0;1\n0;1;2.5\n", [[1, 2.5]], null],
    ["with tabs and spaces", "0\t 0\t1\n 0\t1 \t2e3\n", [[1, 2000]], null],
    ["in quotes", '"layer","expert","count"\n"0","1","3"\n', [[0, 3]], null],
    ["with the same expert twice", "0,0,1\n0,0,2\n", [[3]], null],
    ["that is a log of selections", "0,0\n0,1\n0,1\n1,0\n", [[1, 2], [1]], null],
    ["that is a list, the hottest first", "1,1\n0,0\n1,0\n", [[2], [1, 3]], 0],
    ["in UTF-16", Buffer.from("\uFEFF0,0,1\r\n0,1,2\r\n", "utf16le"), [[1, 2]], null],
  ])("%s", async (_, text, weights, samples) => {
    const profile = await readProfile(file(text));
    expect(rows(profile)).toEqual(weights);
    expect(profile).toMatchObject({ source: "csv", samples, model: null });
  });

  test("is read through a small buffer, wherever its lines are cut", async () => {
    const lines = Array.from({ length: 200_000 }, (_, at) => `${at % 60},${at % 256},1\r`);
    const profile = await readProfile(file(`${lines.join("\n")}\n`));
    expect(
      rows(profile)
        .flat()
        .reduce((sum, weight) => sum + weight, 0),
    ).toBe(200_000);
  });

  test.each([
    ["a negative layer", "-1,0,1", /line 1 has the layer "-1"/],
    ["a layer no model has", "10000,0,1", /the layer "10000"/],
    ["an expert no model has", "0,65536,1", /the expert "65536"/],
    ["a fraction of an expert", "0,1.5,1", /the expert "1.5"/],
    ["a missing expert", "0\n", /the expert ""/],
    ["a negative count", "0,1,5\n0,2,-5\n", /line 2 has the count "-5"/],
    ["a count that is none", "0,1,nan", /the count "nan"/],
    ["an infinite count", "0,1,1e999", /the count "1e999"/],
    ["a count past what is exact", "0,1,9e15\n0,1,9e15", /line 2 makes a sum past/],
    ["some counts only", "0,1,5\n0,2\n", /line 2 has no count/],
    ["some counts later", "0,1\n0,2,5\n", /line 2 has a count/],
    ["columns of something else", "name,value\n1,2\n", /names no columns layer and expert/],
    ["nothing but comments", "# nothing\n", /lists no experts/],
    ["a line without end", `0,1,${"1".repeat(2000)}`, /line 1 is too long/],
    ["prose", "Lorem ipsum dolor sit amet\nconsectetur", /line 1 names no columns/],
  ])("with %s is refused", async (_, text, message) => {
    await expect(readProfile(file(text))).rejects.toThrow(refusal(message));
  });

  test("of the last expert of every layer takes no memory to speak of, and is refused", async () => {
    const lines = Array.from({ length: 5000 }, (_, layer) => `${layer},65535,1`);
    await expect(readProfile(file(lines.join("\n")))).rejects.toThrow(refusal(/past 1000000/));
  });
});

describe("what people take for a profile is refused with what it is", () => {
  const safetensors = Buffer.concat([
    Buffer.from([60, 0, 0, 0, 0, 0, 0, 0]),
    Buffer.from('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}      '),
  ]);
  test.each<[string, string | Buffer, RegExp]>([
    ["the old imatrix", oldImatrix(["blk.0.attn_q.weight"]), /old format .* each expert/],
    ["a pickle", Buffer.from([0x80, 4, 0x95, 0, 0]), /pickle, .* can run code/],
    ["PyTorch's zip", Buffer.from("PK\x03\x04\0\0archive/data.pkl"), /zip archive.*\.pt/],
    ["a gzip", Buffer.from([0x1f, 0x8b, 8, 0]), /compressed \(gzip\)/],
    ["a zstd", Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), /compressed \(zstd\)/],
    ["a pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0", /git lfs pull/],
    ["a web page", "<!DOCTYPE html><html>", /web page/],
    ["a safetensors file", safetensors, /safetensors/],
    ["an ELF", Buffer.from("\x7fELF\x02\x01\x01\0\0"), /binary file of no known kind/],
    ["nothing", "", /it is empty/],
    ["a GGUF model", ggufBytes({}), /it is a model \(llama\)/],
    ["a GGUF of nothing", ggufBytes({ entries: [] }), /GGUF of the type/],
  ])("%s", async (_, bytes, message) => {
    await expect(readProfile(file(bytes))).rejects.toThrow(refusal(message));
  });

  test("a whole GGUF model", async () => {
    const path = fresh(".gguf");
    await writeSyntheticModel({ kind: "moe", path });
    await expect(readProfile(path)).rejects.toThrow(refusal(/it is a model \(qwen3moe\)/));
  });

  test("no file, and a folder", async () => {
    await expect(readProfile(join(folder, "absent"))).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
    });
    await expect(readProfile(folder)).rejects.toMatchObject({ code: "PREFAULT_NOT_A_FILE" });
  });
});

test("reading ends when the signal fires", async () => {
  const path = file("0,0,1");
  await expect(readProfile(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: "PREFAULT_ABORTED",
  });
  const controller = new AbortController();
  appendFileSync(path, "\n0,0,1".repeat(2_000_000));
  const reading = readProfile(path, { signal: controller.signal });
  controller.abort();
  await expect(reading).rejects.toMatchObject({ code: "PREFAULT_ABORTED" });
});
