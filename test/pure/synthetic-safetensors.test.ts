import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { writeSyntheticSafetensors } from "../models/synthetic-safetensors.ts";

const folder = temporaryFolder();

describe("a safetensors model", () => {
  const headerOf = (path: string) => {
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE(0));
    const entries: Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    > = JSON.parse(bytes.toString("utf8", 8, 8 + length));
    const { __metadata__, ...tensors } = entries;
    return { length, metadata: __metadata__, tensors, size: bytes.byteLength };
  };

  test("has a header that places every tensor and covers the data without a gap", async () => {
    const { paths, tensors, indexPath } = await writeSyntheticSafetensors({
      path: join(folder, "model.safetensors"),
    });
    expect(indexPath).toBeUndefined();
    const header = headerOf(paths[0] ?? "");
    expect(header.length % 8).toBe(0);
    expect(header.metadata).toEqual({ format: "pt" });
    expect(Object.keys(header.tensors)).toEqual(tensors.map(({ name }) => name));
    let end = 0;
    for (const { name, offset, byteLength, shape, dtype } of tensors) {
      const [from, to] = header.tensors[name]?.data_offsets ?? [];
      expect([from, to]).toEqual([end, end + byteLength]);
      expect(offset).toBe(8 + header.length + end);
      expect(header.tensors[name]).toMatchObject({ dtype, shape });
      end += byteLength;
    }
    expect(8 + header.length + end).toBe(header.size);
  });

  test("in shards comes with an index of every tensor", async () => {
    const path = join(folder, "sharded.safetensors");
    const { paths, tensors, indexPath } = await writeSyntheticSafetensors({
      path,
      shards: 3,
      targetBytes: 4_000_000,
    });
    expect(indexPath).toBe(`${path}.index.json`);
    const index: { metadata: { total_size: number }; weight_map: Record<string, string> } =
      JSON.parse(readFileSync(indexPath ?? "", "utf8"));
    expect(index.metadata.total_size).toBe(
      tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
    );
    expect(index.metadata.total_size / 4_000_000).toBeCloseTo(1, 1);
    expect(Object.keys(index.weight_map)).toEqual(tensors.map(({ name }) => name));
    for (const { name, file } of tensors) {
      expect(index.weight_map[name]).toBe(`sharded-0000${file + 1}-of-00003.safetensors`);
      expect(headerOf(paths[file] ?? "").tensors).toHaveProperty([name]);
    }
  });
});
