import { join } from "node:path";
import { expect, test } from "vitest";
import { readLaunch } from "../../../src/launch/index.ts";
import { splitShellWords } from "../../../src/launch/shell-words.ts";
import { onPosix } from "../../helpers/platform.ts";
import { ot, pastedLines } from "./pasted-lines.ts";

const { folder, M, read } = pastedLines();

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
