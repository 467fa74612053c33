import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseFit } from "../../../src/launch/fit-params.ts";
import { readLaunch } from "../../../src/launch/index.ts";
import { parseIni } from "../../../src/launch/ini.ts";
import { onPosix } from "../../helpers/platform.ts";

let folder: string;
let model: string;
const at = (...names: string[]) => join(folder, ...names);

async function put(path: string, text = "GGUF"): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  return path;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefault-sources-"));
  model = await put(at("m.gguf"));
});
afterAll(() => rm(folder, { recursive: true }));

const read = (words: readonly string[], env: Record<string, string> = {}) =>
  readLaunch(words, { env });

onPosix("-hf", () => {
  const hub = (name: string) => at("hub", "models--org--name", "snapshots", "c0ffee", name);

  beforeAll(async () => {
    await put(at("hub", "models--org--name", "refs", "main"), "c0ffee\n");
    for (const name of [
      "name-Q8_0.gguf",
      "name-Q4_K_M.gguf",
      "IQ2_M/name-IQ2_M-00001-of-00002.gguf",
    ]) {
      await put(hub(name));
    }
    await put(hub("IQ2_M/name-IQ2_M-00002-of-00002.gguf"));
    await put(hub("mmproj-name-F16.gguf"));
    await put(at("flat", "org_other_other-Q8_0.gguf"));
    await put(at("flat", "org_other_other-UD-Q3.gguf"));
    await put(
      at("flat", "manifest=org=other=latest.json"),
      JSON.stringify({ ggufFile: { rfilename: "other-UD-Q3.gguf" } }),
    );
  });

  test.each([
    ["org/name", "name-Q4_K_M.gguf"],
    ["org/name:q8_0", "name-Q8_0.gguf"],
    ["org/name:IQ2_M", "IQ2_M/name-IQ2_M-00001-of-00002.gguf"],
  ])("%s in the hub's cache", async (repo, name) => {
    const env = { HF_HUB_CACHE: at("hub") };
    const { parts } = await read(["llama-server", "-hf", repo, "-ngl", "9"], env);
    expect(parts).toMatchObject([
      { role: "model", path: hub(name), placement: { gpuLayers: 9 } },
      { role: "mmproj", path: hub("mmproj-name-F16.gguf") },
    ]);
    const without = await read(["llama-server", "-hf", repo, "--no-mmproj"], env);
    expect(without.parts).toHaveLength(1);
  });

  test("a file by name, by a URL, and below HF_HOME, XDG_CACHE_HOME and HOME", async () => {
    await put(
      at("home", ".cache", "huggingface", "hub", "models--a--b", "snapshots", "1", "b.gguf"),
    );
    await put(at("home", "hub", "models--c--d", "snapshots", "1", "d-Q6_K.gguf"));
    const home = { HOME: at("home"), HF_HOME: at("home") };
    expect((await read(["llama-server", "-hf", "a/b"], home)).parts[0]?.path).toMatch(/b\.gguf$/);
    const file = ["llama-cli", "-hf", "c/d", "-hff", "d-Q6_K.gguf"];
    expect((await read(file, home)).parts[0]?.path).toMatch(/d-Q6_K/);
    const url = "https://huggingface.co/c/d/resolve/main/d-Q6_K.gguf?download=true";
    expect((await read(["llama-cli", "-mu", url], home)).parts[0]?.path).toMatch(/d-Q6_K/);
  });

  test("llama.cpp's own cache, with its manifest", async () => {
    const env = { LLAMA_CACHE: at("flat") };
    const { parts } = await read(["llama-server", "-hf", "org/other"], env);
    expect(parts[0]?.path).toBe(at("flat", "org_other_other-UD-Q3.gguf"));
    const q8 = await read(["llama-server", "--hf-repo", "org/other:Q8_0"], env);
    expect(q8.parts[0]?.path).toBe(at("flat", "org_other_other-Q8_0.gguf"));
  });

  test("a draft model, and a cache that a container mounts", async () => {
    const env = { HF_HUB_CACHE: at("hub") };
    const draft = await read(["llama-server", "-m", model, "-hfd", "org/name:Q8_0"], env);
    expect(draft.parts[1]).toMatchObject({ role: "draft", path: hub("name-Q8_0.gguf") });
    const volume = `${at("home", ".cache")}:/root/.cache`;
    const line = ["docker", "run", "-v", volume, "ghcr.io/ggml-org/llama.cpp:server", "-hf", "a/b"];
    expect((await read(line)).parts[0]?.path).toMatch(/home.*b\.gguf$/);
  });

  test.each([
    ["a draft model", ["server", "-m", "/models/m.gguf", "-hfd", "a/b"], 1],
    ["llama-run's model", ["full", "llama-run", "hf://a/b"], 0],
    ["llama-run's file", ["full", "llama-run", "huggingface://a/b/b.gguf"], 0],
  ] as const)("%s in a cache that a container mounts", async (_, [tag, ...words], index) => {
    const volumes = [`${at("home", ".cache")}:/root/.cache`, `${folder}:/models`];
    const mounts = volumes.flatMap((volume) => ["-v", volume]);
    const image = `ghcr.io/ggml-org/llama.cpp:${tag}`;
    const { parts } = await read(["docker", "run", ...mounts, image, ...words]);
    expect(parts[index]?.path).toBe(
      at("home", ".cache", "huggingface", "hub", "models--a--b", "snapshots", "1", "b.gguf"),
    );
  });

  test("what is not there is an error that names the places and what there is", async () => {
    const env = { HF_HUB_CACHE: at("hub"), HOME: at("nowhere") };
    await expect(read(["llama-server", "-hf", "org/name:Q2_K"], env)).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
      message: expect.stringMatching(/org\/name:Q2_K .*hub.*llama\.cpp.*name-Q8_0\.gguf/),
    });
    await expect(read(["llama-server", "-hf", "name"], env)).rejects.toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
    });
  });
});

onPosix("--models-preset", () => {
  test("every section's model has its own placement, over the common one", async () => {
    const preset = await put(
      at("models.ini"),
      `version = 1
; what all have
[*]
n-gpu-layers = 7   # a comment
no-mmap = true

[one]
model = ${model}
cpu-moe = 1
[two]
LLAMA_ARG_MODEL = ${model}
ngl = 3
no-mmap = 0
gpu-magic = 4
[org/absent:Q4_K_M]
[empty]
c = 4096
`,
    );
    const launch = await read(["llama-server", "--models-preset", preset, "--host", "::"]);
    expect(launch.parts.map(({ placement }) => placement)).toEqual([
      { gpuLayers: 7, cpuMoe: true },
      { gpuLayers: 3 },
    ]);
    expect(launch.notes).toEqual([
      expect.stringContaining("[two] gpu-magic is unknown"),
      expect.stringContaining("[empty] names no model"),
      expect.stringContaining("org/absent:Q4_K_M is in no local cache"),
      expect.stringMatching(/\[\*\] no-mmap.* copies/),
    ]);
    const flag = await read(["llama-server", "--models-preset", preset, "-ngl", "1"]);
    expect(flag.parts.map(({ placement }) => placement?.gpuLayers)).toEqual([1, 1]);
  });

  test("sections, keys, comments, and lines that are neither", () => {
    expect(parseIni("a = 1\r\n[x]\nb=2 ;c\n# d\nu = http://h/#f\n[x]\nc=\n", "p.ini")).toEqual([
      { name: "", entries: [["a", "1"]] },
      { name: "x", entries: [["c", ""]] },
    ]);
    expect(() => parseIni("[x]\nnonsense\n", "p.ini")).toThrow(/p\.ini: line 2/);
  });

  test("one that is not there is named", async () => {
    await expect(read(["llama-server", "--models-preset", "/nowhere.ini"])).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
      message: expect.stringContaining("/nowhere.ini"),
    });
  });
});

onPosix("files of settings", () => {
  test("koboldcpp's", async () => {
    const draftmodel = await put(at("draft.gguf"));
    const fields = {
      model_param: model,
      gpulayers: 12,
      moecpu: 5,
      usemmap: true,
      mmproj: "",
      draftmodel,
      lora: null,
    };
    const config = await put(at("c.kcpps"), JSON.stringify(fields));
    const { parts, notes } = await read(["koboldcpp", "--config", config, "--gpulayers", "1"]);
    expect(parts).toMatchObject([
      { path: model, placement: { gpuLayers: 12, nCpuMoe: 5 } },
      { role: "draft", path: draftmodel, placement: { gpuLayers: -1 } },
    ]);
    expect(notes).toEqual([]);
    const broken = await put(at("broken.kcpps"), "{");
    await expect(read(["koboldcpp", "--config", broken])).rejects.toMatchObject({
      message: expect.stringContaining("broken.kcpps is no JSON"),
    });
  });

  test("llama-cpp-python's, with several models", async () => {
    const models = [
      { model, n_gpu_layers: -1 },
      { model, n_gpu_layers: 4, use_mmap: false },
    ];
    const config = await put(at("c.json"), JSON.stringify({ host: "::", models }));
    const { parts } = await read(["python", "-m", "llama_cpp.server", "--config_file", config]);
    expect(parts.map(({ placement }) => placement?.gpuLayers)).toEqual([-1, 4]);
  });

  test("llama-bench has several models", async () => {
    const other = await put(at("other.gguf"));
    const { parts } = await read(["llama-bench", "-m", `${model},${other}`, "-ngl", "5"]);
    expect(parts.map(({ path }) => path)).toEqual([model, other]);
  });
});

onPosix("llama-fit-params", () => {
  const tool = async (folderName: string, script: string) => {
    const path = await put(at(folderName, "llama-fit-params"), `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    await put(at(folderName, "llama-server"));
    return at(folderName);
  };
  const answer = String.raw`printf '%s\n' 'I: fitting' '-c 4096 -ngl 21 -ts 3,1 -ot "blk\.(1|2)\.ffn=CPU"'`;

  test("beside the program answers auto, and a line without -ngl", async () => {
    const bin = await tool("bin", answer);
    for (const more of [["-ngl", "auto"], ["-ngl", "-1"], []]) {
      const { parts } = await read([join(bin, "llama-server"), "-m", model, ...more]);
      expect(parts[0]?.placement).toEqual({
        gpuLayers: 21,
        overrides: [{ pattern: "blk\\.(1|2)\\.ffn", buffer: "CPU", unmatched: "note" }],
      });
      expect(parts[0]?.notes).toEqual([expect.stringContaining("llama-fit-params")]);
    }
  });

  test("on PATH is handed the line's own arguments", async () => {
    const bin = await tool("path", `echo "$@" > ${at("args")}; ${answer}`);
    const line = ["llama-server", "-m", model, "-ngl", "auto", "-c", "9", "-fitt", "512", "-fa"];
    await read(line, { PATH: `${bin}:/bin:/usr/bin` });
    expect(await readFile(at("args"), "utf8")).toBe(
      `-m ${model} --ctx-size 9 --flash-attn on --fit-target 512\n`,
    );
  });

  test("is not asked about layers that are known", async () => {
    const bin = await tool("never", "exit 1");
    const { parts } = await read([join(bin, "llama-server"), "-m", model, "-ngl", "4"]);
    expect(parts[0]?.placement).toEqual({ gpuLayers: 4 });
  });

  test("that fails is an error for auto, and a note for a line that says nothing", async () => {
    const bin = await tool("broken", "echo no device >&2; exit 3");
    const line = [join(bin, "llama-server"), "-m", model];
    await expect(read([...line, "-ngl", "auto"])).rejects.toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
      message: expect.stringMatching(/no device.*offloaded/),
    });
    expect((await read(line)).parts[0]?.notes).toEqual([
      expect.stringContaining("no device"),
      expect.stringContaining("no -ngl"),
    ]);
  });

  test("everything on the GPU, and output that is none", () => {
    expect(parseFit("-c 262144 -ngl -1\n")).toEqual({ gpuLayers: -1, overrides: [] });
    expect(parseFit("failed to load")).toBeUndefined();
  });
});
