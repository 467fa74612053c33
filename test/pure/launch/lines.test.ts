import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Launch, readLaunch } from "../../../src/launch/index.ts";
import { splitShellWords } from "../../../src/launch/shell-words.ts";
import { onPosix } from "../../helpers/platform.ts";

// Lines as people paste them: from READMEs, compose files, units, threads. `M` is a model.

let folder: string;
let M: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefault-lines-"));
  M = join(folder, "m.gguf");
  for (const name of ["m.gguf", "n.gguf", "draft.gguf", "mmproj.gguf", "lora.gguf", "a b.gguf"]) {
    await writeFile(join(folder, name), "GGUF");
  }
  await writeFile(join(folder, "m.llamafile"), "MZ");
  await writeFile(join(folder, "llama.env"), "LLAMA_ARG_N_GPU_LAYERS=11\n# no\n");
  await mkdir(join(folder, "bin"));
});
afterAll(() => rm(folder, { recursive: true }));

/** `M` and `DIR` stand for paths of this test. */
function fill(text: string): string {
  return text.replaceAll("DIR", folder).replace(/\bM\b/g, M);
}

function read(text: string, env: Record<string, string> = {}): Promise<Launch> {
  const [words = []] = splitShellWords(fill(text));
  return readLaunch(words, { env });
}

const ot = (pattern: string, buffer = "CPU") => ({ pattern, buffer, unmatched: "note" });

/** Line, placement of the model; by default for llama.cpp. */
const LINES: readonly [line: string, placement: object, engine?: string][] = [
  ["llama-server -m M -ngl 20", { gpuLayers: 20 }],
  ["llama-server --model M --gpu-layers 20 -c 4096 -fa on --jinja", { gpuLayers: 20 }],
  ["llama-server --model=M --n_gpu_layers=20", { gpuLayers: 20 }],
  ["llama-server -m M -ngl 20 -ngl 30", { gpuLayers: 30 }],
  ["./build/bin/llama-server -m M -ngl 99 --host 0.0.0.0 --port 8080", { gpuLayers: 99 }],
  ["C:\\llama\\llama-server.exe -m M -ngl 99".replaceAll("\\", "\\\\"), { gpuLayers: 99 }],
  ["llama-server-cuda -m M -ngl 99", { gpuLayers: 99 }],
  ["llama serve -m M -ngl 12", { gpuLayers: 12 }],
  ["./main -m M -ngl 12 -p '-ngl 3'", { gpuLayers: 12 }],
  ["-m M -ngl 12", { gpuLayers: 12 }],
  ["llama-cli -m M -ngl 12 -p -ngl", { gpuLayers: 12 }],
  ["llama-server -m M -ngl all", { gpuLayers: -1 }],
  ["llama-server -m M -ngl -2", { gpuLayers: -1 }],
  ["llama-server -m M -ngl auto -fit off", { gpuLayers: -1 }],
  ["llama-server -m M -ngl -1 --fit off", { gpuLayers: -1 }],
  ["llama-server -m M -fit off", { gpuLayers: -1 }],
  ["llama-server -m M -ngl auto --cpu-moe", { gpuLayers: -1, cpuMoe: true }],
  ["llama-server -m M -ngl 7 -fit on -fitt 512", { gpuLayers: 7 }],
  ["llama-server -m M --device none -ngl 99", { gpuLayers: 0 }],
  ["llama-server -dev none -m M --embedding", { gpuLayers: 0 }],
  ["llama-server -m M -ngl 99 -dev CUDA0,CUDA1 -sm row -ts 3,1 -mg 0", { gpuLayers: 99 }],
  ["llama-server -m M -ngl 99 -cmoe", { gpuLayers: 99, cpuMoe: true }],
  ["llama-server -m M -ngl 99 -ncmoe 12", { gpuLayers: 99, nCpuMoe: 12 }],
  ["llama-server -m M -ngl 99 -ncmoe 12 -ncmoe 3", { gpuLayers: 99, nCpuMoe: 12 }],
  ["llama-server -m M -ngl 99 --n-cpu-ffn 4", { gpuLayers: 99, nCpuFfn: 4 }],
  [
    "llama-server -m M -ngl 99 -ot '\\.ffn_.*_exps\\.=CPU,attn=CUDA0'",
    { gpuLayers: 99, overrides: [ot("\\.ffn_.*_exps\\."), ot("attn", "CUDA0")] },
  ],
  [
    "llama-server -m M -ngl 99 -ot a=CPU --cpu-moe -ot b=CUDA0",
    { gpuLayers: 99, cpuMoe: true, overrides: [ot("a")], lateOverrides: [ot("b", "CUDA0")] },
  ],
  ["llama-server -m M -ngl 9 -lzm off", { gpuLayers: 9, lazyTables: "include" }],
  ["llama-server -m M -ngl 9 -nr", { gpuLayers: 9, repack: false }],
  ["llama-server -m M -ngl 9 --spec-type draft-mtp,ngram-mod", { gpuLayers: 9, mtp: true }],
  ["LLAMA_ARG_MODEL=M LLAMA_ARG_N_GPU_LAYERS=8 llama-server", { gpuLayers: 8 }],
  ["LLAMA_ARG_N_GPU_LAYERS=8 llama-server -m M -ngl 4", { gpuLayers: 4 }],
  [
    "env -u FOO LLAMA_ARG_N_GPU_LAYERS=8 LLAMA_ARG_CPU_MOE=1 llama-server -m M",
    { gpuLayers: 8, cpuMoe: true },
  ],
  ["LLAMA_ARG_CPU_MOE=0 llama-server -m M -ngl 3", { gpuLayers: 3 }],
  ["LLAMA_ARG_DEVICE=none llama-server -m M -ngl 3", { gpuLayers: 0 }],
  ["LLAMA_ARG_NO_REPACK=1 llama-server -m M -ngl 3", { gpuLayers: 3, repack: false }],
  ["LLAMA_ARG_REPACK=off llama-server -m M -ngl 3", { gpuLayers: 3, repack: false }],
  ["sudo -u llama nice -n 10 llama-server -m M -ngl 3", { gpuLayers: 3 }],
  ["numactl -m 0 --cpunodebind 0 llama-server -m M -ngl 3", { gpuLayers: 3 }],
  ["taskset -c 0-7 nohup llama-server -m M -ngl 3", { gpuLayers: 3 }],
  [
    "systemd-run -u llama-server --setenv=LLAMA_ARG_CPU_MOE=1 llama-server -m M -ngl 3",
    { gpuLayers: 3, cpuMoe: true },
  ],
  ["screen -dmS llama-server ./llama-server -m M -ngl 3", { gpuLayers: 3 }],
  ["sh -c 'cd DIR && exec ./llama-server -m m.gguf -ngl 3 > log 2>&1'", { gpuLayers: 3 }],
  ["bash -lc 'export LLAMA_ARG_N_GPU_LAYERS=5; llama-server -m M'", { gpuLayers: 5 }],
  ["ExecStart=/usr/bin/llama-server -m M -ngl 3", { gpuLayers: 3 }],
  ["tmux new-session -d -s llm './llama-server -m M -ngl 3'", { gpuLayers: 3 }],
  [
    "docker run --gpus all --name llama-server -p 8080:8080 -v DIR:/models ghcr.io/ggml-org/llama.cpp:server-cuda -m /models/m.gguf -ngl 3",
    { gpuLayers: 3 },
  ],
  [
    "docker run -it --rm -m 32g -e LLAMA_ARG_N_GPU_LAYERS=6 --env=LLAMA_ARG_MODEL=/models/m.gguf --mount type=bind,source=DIR,target=/models,readonly ghcr.io/ggml-org/llama.cpp:server",
    { gpuLayers: 6 },
  ],
  [
    "docker run -vDIR:/m:ro ghcr.io/ggml-org/llama.cpp:full --server -m /m/m.gguf -ngl 2",
    { gpuLayers: 2 },
  ],
  [
    "podman run --device nvidia.com/gpu=all -v DIR:/m:Z --entrypoint /app/llama-server img -m /m/m.gguf -ngl 2",
    { gpuLayers: 2 },
  ],
  [
    "docker run --env-file DIR/llama.env -v DIR:/m ghcr.io/ggml-org/llama.cpp:server -m /m/m.gguf",
    { gpuLayers: 11 },
  ],
  [
    "docker exec -e LLAMA_ARG_CPU_MOE=on llama llama-server -m M -ngl 2",
    { gpuLayers: 2, cpuMoe: true },
  ],
  [
    "apptainer exec --nv --bind DIR:/m llama.sif llama-server -m /m/m.gguf -ngl 2",
    { gpuLayers: 2 },
  ],
  ["llama-server -m M -ngl 50 -rtr -fmoe", { gpuLayers: 50 }, "ik_llama.cpp"],
  ["~/ik_llama.cpp/build/bin/llama-server -m M", { gpuLayers: 0 }, "ik_llama.cpp"],
  ["./ik_llama.cpp/llama-server -m M -ngl -1", { gpuLayers: 0 }, "ik_llama.cpp"],
  [
    "llama-server -m M -ngl 99 -mla 3 -amb 512 -ot exps=CPU",
    { gpuLayers: 99, overrides: [ot("exps")] },
    "ik_llama.cpp",
  ],
  ["llama-server -m M -ngl 99 --defer-experts --no-warmup", { gpuLayers: 99 }, "ik_llama.cpp"],
  ["llama-sweep-bench -m M -c 8192 -ub 512 -ngl 10", { gpuLayers: 10 }],
  [
    "koboldcpp --model M --gpulayers 15 --usecublas normal 0 mmq --contextsize 8192",
    { gpuLayers: 15 },
    "koboldcpp",
  ],
  ["python koboldcpp.py M 5001 --gpulayers 15", { gpuLayers: 15 }, "koboldcpp"],
  ["python3 koboldcpp.py --model M --usecpu --gpulayers 15", { gpuLayers: 0 }, "koboldcpp"],
  [
    "./koboldcpp-linux-x64 --model M --gpulayers 99 --moecpu",
    { gpuLayers: 99, nCpuMoe: 999 },
    "koboldcpp",
  ],
  [
    "./koboldcpp_nocuda.exe --model M --gpulayers 99 --moecpu 12",
    { gpuLayers: 99, nCpuMoe: 12 },
    "koboldcpp",
  ],
  [
    "koboldcpp -m M -ngl 9 --overridetensors exps=CPU",
    { gpuLayers: 9, overrides: [ot("exps")] },
    "koboldcpp",
  ],
  ["llama-bench -m M", { gpuLayers: -1 }, "llama-bench"],
  ["llama-bench -m M -ngl 10,0,20", { gpuLayers: 0 }, "llama-bench"],
  [
    "llama-bench -m M -ngl 10-30+10 -ncmoe 0,4,8 -mmp 1",
    { gpuLayers: 10, nCpuMoe: 8 },
    "llama-bench",
  ],
  [
    "llama-bench -m M -ngl 9 -ot 'a=CPU;b=CUDA0' -o json -p 512",
    { gpuLayers: 9, overrides: [ot("a"), ot("b", "CUDA0")] },
    "llama-bench",
  ],
  ["llama-bench -m M -dev none", { gpuLayers: 0 }, "llama-bench"],
  ["python -m llama_cpp.server --model M --n_gpu_layers -1", { gpuLayers: -1 }, "llama-cpp-python"],
  ["python3 -m llama_cpp.server --model M", { gpuLayers: 0 }, "llama-cpp-python"],
  ["MODEL=M N_GPU_LAYERS=7 python3 -m llama_cpp.server", { gpuLayers: 7 }, "llama-cpp-python"],
  ["llamafile -m M -ngl 9999 --server --nobrowser", { gpuLayers: 9999 }, "llamafile"],
  ["DIR/m.llamafile --server -ngl 999", { gpuLayers: 999 }, "llamafile"],
  ["llamafile -m M --gpu disable -ngl 5", { gpuLayers: 0 }, "llamafile"],
  [
    "/usr/bin/ollama runner --model M --ctx-size 2048 --n-gpu-layers 33 --threads 8 --parallel 4",
    { gpuLayers: 33 },
    "ollama",
  ],
  ["llama-run -c 4096 --ngl 12 M hello", { gpuLayers: 12 }, "llama-run"],
  ["llama-run file://M", { gpuLayers: 0 }, "llama-run"],
  ["my-server -m M -ngl 3", { gpuLayers: 3 }],
];

onPosix("the placement of a pasted line", () => {
  test.each(LINES)("%s", async (line, placement, engine = "llama.cpp") => {
    const launch = await read(line);
    expect(launch.engine).toBe(engine);
    const [part] = launch.parts;
    expect(part?.role).toBe("model");
    expect(part?.path).toBe(fill(line).includes("m.llamafile") ? join(folder, "m.llamafile") : M);
    expect(part?.placement).toEqual(placement);
  });

  test("there are at least sixty of them", () => expect(LINES.length).toBeGreaterThan(60));
});

onPosix("where a value comes from", () => {
  const env = { LLAMA_ARG_N_GPU_LAYERS: "1", LLAMA_ARG_MODEL: "M" };
  const layers = async (line: string) =>
    (await read(line, { ...env, LLAMA_ARG_MODEL: M })).parts[0]?.placement?.gpuLayers;

  test("a flag, then the line's assignments, then the environment", async () => {
    expect(await layers("llama-server")).toBe(1);
    expect(await layers("LLAMA_ARG_N_GPU_LAYERS=2 llama-server")).toBe(2);
    expect(await layers("LLAMA_ARG_N_GPU_LAYERS=2 llama-server -ngl 3")).toBe(3);
  });

  test("a container sees of the environment only what it is given", async () => {
    const image = "ghcr.io/ggml-org/llama.cpp:server -m M";
    const { parts } = await read(`docker run ${image}`, env);
    expect(parts[0]?.placement?.gpuLayers).toBeUndefined();
    expect(await layers(`docker run -e LLAMA_ARG_N_GPU_LAYERS ${image}`)).toBe(1);
  });

  test("overrides of flags and of the environment add up", async () => {
    const { parts } = await read("llama-server -m M -ngl 9 -ot a=CPU", {
      LLAMA_ARG_OVERRIDE_TENSOR: "b=CPU",
    });
    expect(parts[0]?.placement?.overrides).toEqual([ot("a"), ot("b")]);
  });

  test("a placement of the caller's goes before all", async () => {
    const words = ["llama-server", "-m", M, "-ngl", "auto"];
    const { parts } = await readLaunch(words, { env: {}, placement: { gpuLayers: 5 } });
    expect(parts[0]?.placement).toEqual({ gpuLayers: 5 });
  });
});

onPosix("what is loaded beside the model", () => {
  test("a draft model has flags of its own, and follows --device", async () => {
    const draft = async (flags: string) =>
      (await read(`llama-server -m M -ngl 9 -md DIR/draft.gguf ${flags}`)).parts[1];
    expect(await draft("-ngld 99")).toMatchObject({ role: "draft", placement: { gpuLayers: 99 } });
    expect((await draft("-ngld 4 -otd a=CPU -ncmoed 2"))?.placement).toEqual({
      gpuLayers: 4,
      nCpuMoe: 2,
      overrides: [ot("a")],
    });
    expect((await draft("-ngld 99 -devd none"))?.placement).toEqual({ gpuLayers: 0 });
    expect((await draft("-dev none"))?.notes).toEqual([]);
    expect((await draft("-dev none -devd CUDA0 -ngld 9"))?.placement).toEqual({ gpuLayers: 9 });
    expect((await draft(""))?.notes).toEqual([expect.stringContaining("-ngld")]);
  });

  test("projectors, adapters and control vectors are read whole", async () => {
    const { parts } = await read(
      "llama-server -m M -ngl 9 --mmproj DIR/mmproj.gguf --lora-scaled DIR/lora.gguf:0.5 --control-vector DIR/n.gguf",
    );
    expect(parts.slice(1)).toMatchObject([
      {
        role: "mmproj",
        path: join(folder, "mmproj.gguf"),
        notes: [expect.stringMatching(/GPU/)],
      },
      { role: "lora", path: join(folder, "lora.gguf") },
      { role: "control vector", path: join(folder, "n.gguf") },
    ]);
    expect(parts.slice(1).every(({ placement }) => placement === undefined)).toBe(true);
    const cpu = await read("llama-server -m M -mm DIR/mmproj.gguf --no-mmproj-offload");
    expect(cpu.parts[1]?.notes).toEqual([]);
  });

  test("a word that names a file is never dropped", async () => {
    const { parts } = await read("llama-server -m M -ngl 9 --jinja DIR/n.gguf");
    expect(parts[1]).toMatchObject({ role: "other", path: join(folder, "n.gguf") });
  });
});

onPosix("what a line says of the server", () => {
  test("where it listens, and how it loads", async () => {
    const line =
      "llama-server -m M --host ::1 --port 9000 --api-prefix /x --no-warmup --defer-experts";
    expect(await read(line)).toMatchObject({
      host: "::1",
      port: 9000,
      apiPrefix: "/x",
      warmsUp: false,
      defersExperts: true,
    });
  });
});

onPosix("notes", () => {
  test.each([
    ["llama-server -m M -ngl 9 --no-mmap", /--no-mmap copies/],
    ["LLAMA_ARG_NO_MMAP=1 llama-server -m M -ngl 9", /LLAMA_ARG_NO_MMAP copies/],
    ["LLAMA_ARG_MMAP=0 llama-server -m M -ngl 9", /LLAMA_ARG_MMAP 0 copies/],
    ["llama-server -m M -ngl 9 -lm none", /-lm none copies/],
    ["llama-server -m M -ngl 9 --load-mode mlock", /--load-mode mlock copies/],
    ["llama-server -m M -ngl 9 -lm dio", /page cache/],
    ["llama-server -m M -ngl 9 -dio", /page cache/],
    ["llama-server -m M -ngl 9 --mlock", /--mlock locks .* copies/],
    ["llama-server -m M -ngl 9 -rtr", /-rtr copies/],
    ["llama-server -m M -ngl 9 -muge 1", /-muge copies/],
    ["llama-server -m M -ngl 9 --numa distribute", /--numa distribute/],
    ["llama-server -m M -ngl 9 --numa mirror", /copies the weights to every node/],
    ["llama-bench -m M -mmp 0", /-mmp 0 copies/],
    ["python -m llama_cpp.server --model M --use_mmap false", /--use-mmap false copies/],
    ["koboldcpp --model M --gpulayers 9", /without --usemmap copies/],
    ["llama-server -m M -ngl 9 --gpu-magic 3", /--gpu-magic is unknown/],
    ["LLAMA_ARG_EXPERT_MAGIC=1 llama-server -m M -ngl 9", /LLAMA_ARG_EXPERT_MAGIC is unknown/],
    ["my-server -m M -ngl 9", /my-server is not known/],
  ])("%s", async (line, note) => {
    expect((await read(line)).notes).toEqual([expect.stringMatching(note)]);
  });

  test.each([
    "llama-server -m M -ngl 9 -lm mmap+mlock",
    "llama-server -m M -ngl 9 --cpu-mask ff --no-kv-offload --op-offload --check-tensors",
    "llama-server -m M -ngl 9 --numa 0",
    "koboldcpp --model M --gpulayers 9 --usemmap",
    "ik_llama/llama-server -m M -ngl 9 --mlock",
  ])("none for %s", async (line) => {
    expect((await read(line)).notes).toEqual([]);
  });

  test("no layers at all are a note of the model's", async () => {
    const { parts } = await read("llama-server -m M -c 4096");
    expect(parts[0]).toMatchObject({ placement: {}, notes: [expect.stringMatching(/no -ngl/)] });
    const byHand = await read("llama-server -m M -cmoe");
    expect(byHand.parts[0]?.notes).toEqual([expect.stringContaining("-ngl all")]);
  });
});

onPosix("lines that are refused", () => {
  test.each([
    ["llama-server -m M -ngl auto", /llama-fit-params.*offloaded N\/M/],
    ["llama-server -m M -ngl -1 --fit on", /llama-fit-params/],
    ["LLAMA_ARG_N_GPU_LAYERS=-1 llama-server -m M", /LLAMA_ARG_N_GPU_LAYERS -1/],
    ["koboldcpp --model M --gpulayers -1", /--gpulayers -1.*offloaded/],
    ["llama-server -m M -ngl many", /-ngl is "many"/],
    ["llama-server -m M -ngl", /-ngl has no value/],
    ["llama-server -m M -dev cpu", /"none" means the CPU/],
    ["llama-server -m M -dev none -ot exps=CUDA0", /no GPU/],
    ["llama-server -m M -ot exps", /REGEX=BUFFER/],
    ["llama-server -c 4096", /names no model/],
    ["llama-server -m M -ncmoe -3", /zero or more/],
    ["ollama run llama3", /ollama runner/],
    ["LLAMA_ARG_MMAP=maybe llama-server -m M", /LLAMA_ARG_MMAP/],
    ["llama-server -mu https://example.org/m.gguf", /--model-url/],
    ["cat M", /neither a command line/],
  ])("%s", async (line, message) => {
    await expect(read(line)).rejects.toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
      message: expect.stringMatching(message),
    });
  });

  test("a container's path that no mount leads to", async () => {
    const line = "docker run ghcr.io/ggml-org/llama.cpp:server -m /models/m.gguf -ngl 9";
    await expect(read(line)).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
      message: expect.stringContaining("inside the container"),
    });
    const [words = []] = splitShellWords(line);
    const { parts } = await readLaunch(words, { env: {}, operands: [M] });
    expect(parts).toMatchObject([{ path: M, placement: { gpuLayers: 9 } }]);
  });
});
