import { copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openModel } from "../../../src/model/open-model.ts";
import { type Shard, splitFacts } from "../../../src/model/shard.ts";
import { chooseShards } from "../../../src/model/shards-by-content.ts";
import { ggufBytes, splitEntries, stringEntry, tensorInfo } from "../../helpers/gguf-bytes.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

const root = temporaryFolder();
let folders = 0;

function emptyFolder(): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  return folder;
}

interface Written {
  readonly no: number;
  readonly count: number;
  /** Of all shards together. @defaultValue one for each shard */
  readonly tensors?: number;
  readonly name?: string;
  /** Told apart by their size. */
  readonly dataBytes?: number;
}

function shard(
  path: string,
  { no, count, tensors = count, name, dataBytes = 32 }: Written,
): string {
  const entries = [
    stringEntry("general.architecture", "llama"),
    ...splitEntries(no, count, tensors),
  ];
  const infos = [tensorInfo({ name: name ?? `t${no}` })];
  writeFileSync(path, ggufBytes({ entries, tensors: infos, dataBytes }));
  return path;
}

const named = (folder: string, no: number, count: number, prefix = "m") =>
  join(folder, `${prefix}-0000${no + 1}-of-0000${count}.gguf`);

/** Three shards under the names that llama-gguf-split gives. */
function threeShards(folder = emptyFolder()): string[] {
  return [0, 1, 2].map((no) => shard(named(folder, no, 3), { no, count: 3 }));
}

const filesOf = async (path: string) =>
  (await openModel(path)).files.map((file) => basename(file.path));

describe("a shard", () => {
  test("is found by name beside any other", async () => {
    const paths = threeShards();
    for (const path of paths)
      expect(await filesOf(path)).toEqual(paths.map((each) => basename(each)));
  });

  test("is found where the names promise another count than the metadata", async () => {
    const folder = emptyFolder();
    for (const no of [0, 1]) shard(named(folder, no, 5), { no, count: 2 });
    expect(await filesOf(named(folder, 1, 5))).toHaveLength(2);
  });

  test("is found beside the file that a link leads to", async () => {
    const [first = ""] = threeShards();
    const link = join(emptyFolder(), "model.gguf");
    symlinkSync(first, link);
    const { tensors, notes } = await openModel(link);
    expect(tensors.map(({ name }) => name)).toEqual(["t0", "t1", "t2"]);
    expect(notes).toEqual([expect.stringContaining("one shard of 3")]);
  });

  test("under another name has its siblings found by their metadata, and a note says which", async () => {
    const paths = threeShards();
    const friendly = join(paths[0] ?? "", "../friendly.gguf");
    renameSync(paths[0] ?? "", friendly);
    const { files, notes } = await openModel(friendly);
    expect(files.map(({ path }) => path)).toEqual([friendly, paths[1], paths[2]]);
    expect(notes).toEqual([
      expect.stringContaining("m-00002-of-00003.gguf, m-00003-of-00003.gguf"),
    ]);
  });

  test("may lie beside a copy of itself under its proper name", async () => {
    const paths = threeShards();
    const friendly = join(paths[0] ?? "", "../friendly.gguf");
    copyFileSync(paths[0] ?? "", friendly);
    expect(await filesOf(friendly)).toHaveLength(3);
  });

  test("under another name is refused where two sets could be meant", async () => {
    const folder = emptyFolder();
    const own = shard(join(folder, "friendly.gguf"), { no: 0, count: 2, dataBytes: 64 });
    for (const no of [0, 1]) shard(named(folder, no, 2, "other"), { no, count: 2 });
    await expect(openModel(own)).rejects.toMatchObject({
      code: "PREFAULT_MISSING_SHARD",
      message: expect.stringContaining("shard 1 of 2"),
    });
    shard(named(folder, 1, 2, "third"), { no: 1, count: 2 });
    await expect(openModel(own)).rejects.toMatchObject({ code: "PREFAULT_MISSING_SHARD" });
  });

  test("alone under another name says which shards are missing", async () => {
    const own = shard(join(emptyFolder(), "friendly.gguf"), { no: 1, count: 4 });
    await expect(openModel(own)).rejects.toMatchObject({
      code: "PREFAULT_MISSING_SHARD",
      path: own,
      message: expect.stringContaining("missing: 1, 3, 4"),
    });
  });

  test.each(["part", "incomplete", "crdownload", "aria2"])(
    "that is missing is said to be unfinished where there is a .%s of it",
    async (suffix) => {
      const [first = "", second = ""] = threeShards();
      renameSync(second, `${second}.${suffix}`);
      await expect(openModel(first)).rejects.toMatchObject({
        code: "PREFAULT_MISSING_SHARD",
        path: second,
        message: expect.stringContaining(`${second}.${suffix} is an unfinished download`),
      });
    },
  );

  test("that only the metadata promise is missing", async () => {
    const folder = emptyFolder();
    for (const no of [0, 1]) shard(named(folder, no, 2), { no, count: 3 });
    await expect(openModel(named(folder, 0, 2))).rejects.toMatchObject({
      code: "PREFAULT_MISSING_SHARD",
      message: expect.stringMatching(/split\.count says 3.*shard 3 is missing/),
    });
  });
});

describe("shards that do not belong together", () => {
  test("are refused where one is there twice", async () => {
    const folder = emptyFolder();
    shard(named(folder, 0, 2), { no: 0, count: 2 });
    shard(named(folder, 1, 2), { no: 0, count: 2 });
    await expect(openModel(named(folder, 0, 2))).rejects.toMatchObject({
      code: "PREFAULT_INVALID_MODEL",
      path: named(folder, 1, 2),
      message: expect.stringContaining("by its metadata it is shard 1 of 2"),
    });
  });

  test("are refused where one is a complete file", async () => {
    const [first = "", second = ""] = threeShards();
    writeFileSync(second, ggufBytes({}));
    await expect(openModel(first)).rejects.toMatchObject({
      path: second,
      message: expect.stringContaining("no shard by its metadata"),
    });
  });

  test("are refused where their tensors do not add up", async () => {
    const folder = emptyFolder();
    for (const no of [0, 1]) shard(named(folder, no, 2), { no, count: 2, tensors: 7 });
    await expect(openModel(named(folder, 0, 2))).rejects.toMatchObject({
      code: "PREFAULT_INVALID_MODEL",
      message: expect.stringContaining("2 tensors together, and split.tensors.count says 7"),
    });
  });

  test("are refused where two have a tensor of one name", async () => {
    const folder = emptyFolder();
    for (const no of [0, 1]) shard(named(folder, no, 2), { no, count: 2, name: "same" });
    await expect(openModel(named(folder, 0, 2))).rejects.toThrow("two tensors same");
  });
});

describe("a complete file", () => {
  test.each(["Kimi-00001-of-00013.gguf", "m-00000-of-00002.gguf", "m-00001-of-00000.gguf"])(
    "may be called %s",
    async (name) => {
      const path = join(emptyFolder(), name);
      writeFileSync(path, ggufBytes({}));
      expect(await filesOf(path)).toEqual([name]);
    },
  );

  test("is one that says it is the only shard of one", async () => {
    const path = shard(join(emptyFolder(), "m-00001-of-00001.gguf"), { no: 0, count: 1 });
    expect(await filesOf(path)).toHaveLength(1);
  });
});

describe("GGUF files joined with cat", () => {
  test("are refused, with what to do", async () => {
    const paths = threeShards();
    const bytes = [0, 1, 2].map((no) =>
      ggufBytes({ entries: splitEntries(no, 3, 3), tensors: [tensorInfo({ name: `t${no}` })] }),
    );
    const path = join(paths[0] ?? "", "../cat.gguf");
    writeFileSync(path, Buffer.concat(bytes));
    await expect(openModel(path)).rejects.toMatchObject({
      code: "PREFAULT_INVALID_MODEL",
      message: expect.stringMatching(/3 shards .* joined with cat.*llama-gguf-split --merge/),
    });
  });

  test("are refused where they were complete models", async () => {
    const path = join(emptyFolder(), "two.gguf");
    writeFileSync(path, Buffer.concat([ggufBytes({}), ggufBytes({})]));
    await expect(openModel(path)).rejects.toThrow("several GGUF files joined with cat");
  });
});

test("one part of a file that was cut says that the parts have to be joined", async () => {
  const path = join(emptyFolder(), "m.gguf.part1of2");
  const whole = ggufBytes({ dataBytes: 32 });
  writeFileSync(path, whole.subarray(0, whole.length - 8));
  await expect(openModel(path)).rejects.toThrow("join the parts with cat");
  rmSync(path);
});

describe("whatever the metadata say", () => {
  const values = fc.oneof(fc.integer(), fc.bigInt(), fc.double(), fc.string(), fc.boolean());

  test("a shard's number is below its count, or the reason why not is given", () => {
    fc.assert(
      fc.property(values, values, values, (no, count, tensors) => {
        const metadata = { "split.no": no, "split.count": count, "split.tensors.count": tensors };
        try {
          const facts = splitFacts(metadata);
          if (facts !== null) expect(facts.no).toBeLessThan(facts.count);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });

  const candidate = fc.record({
    no: fc.nat(3),
    bytes: fc.nat(2),
    prefix: fc.constantFrom("a", "b"),
  });

  test("each number is taken once, from a file that says it, or nothing is", () => {
    fc.assert(
      fc.property(fc.array(candidate, { maxLength: 8 }), fc.nat(3), (found, ownNo) => {
        const split = { no: ownNo, count: 4, tensors: undefined };
        const shardOf = (path: string, no: number, byteLength: number): Shard => ({
          file: { path, byteLength },
          split: { ...split, no },
          tensorCount: 1,
        });
        const own = shardOf("own.gguf", ownNo, 1);
        const candidates = found.map(({ no, bytes, prefix }) =>
          shardOf(`${prefix}-0000${no + 1}-of-00004.gguf`, no, bytes),
        );
        let chosen: Shard[];
        try {
          chosen = chooseShards(own, split, candidates);
        } catch (error) {
          expect(error).toMatchObject({ code: "PREFAULT_MISSING_SHARD" });
          return;
        }
        expect(chosen.map((each) => each.split?.no)).toEqual([0, 1, 2, 3]);
        expect(chosen[ownNo]).toBe(own);
        for (const no of [0, 1, 2, 3].filter((each) => each !== ownNo)) {
          expect(candidates.filter((each) => each.split?.no === no)).toHaveLength(1);
        }
      }),
    );
  });
});
