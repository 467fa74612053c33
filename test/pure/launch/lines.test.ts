import { join } from "node:path";
import { expect, test } from "vitest";
import { onPosix } from "../../helpers/platform.ts";
import { ot, pastedLines } from "./pasted-lines.ts";

const { folder, M, fill, read } = pastedLines();

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
