/**
 * Loads a model with the llama.cpp inside node-llama-cpp through its C interface, which has the
 * tensor overrides that node-llama-cpp has no option for, and prints the buffer of every tensor as
 * JSON. A process of its own, as `placement-of-engine.ts` is. The structures are those of the
 * pinned version (`llama.h`, `ggml.h`).
 *
 *     buffers-of-engine.ts FOLDER_OF_LIBRARIES MODEL LOADS_AS_JSON
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import koffi, { type LibraryHandle } from "koffi";
import type { Buffers, Load } from "./engine.ts";

const [folder = "", modelPath = "", loads = "[]"] = process.argv.slice(2);

/** By the beginning of its file name, which ends in a version. */
function library(prefix: string): LibraryHandle {
  const file = readdirSync(folder).find((name) => name.startsWith(prefix)) ?? prefix;
  return koffi.load(join(folder, file));
}

const base = library("libggml-base.so");
const ggml = library("libggml.");
const llama = library("libllama.");

const Override = koffi.struct("llama_model_tensor_buft_override", {
  pattern: "const char *",
  buft: "void *",
});
koffi.struct("llama_model_params", {
  devices: "void *",
  tensor_buft_overrides: koffi.pointer(Override),
  n_gpu_layers: "int32_t",
  split_mode: "int",
  load_mode: "int",
  lazy_mode: "int",
  main_gpu: "int32_t",
  tensor_split: "void *",
  progress_callback: "void *",
  progress_callback_user_data: "void *",
  kv_overrides: "void *",
  vocab_only: "bool",
  check_tensors: "bool",
  use_extra_bufts: "bool",
  no_host: "bool",
  no_alloc: "bool",
  load_mtp: "bool",
});
/** `LLAMA_LOAD_MODE_MMAP` */
const MMAP = 1;

/** The head of a tensor, which is all that is read of it. */
const Tensor = koffi.struct("ggml_tensor", { type: "int", buffer: "void *" });
/** `std::pair<std::string, ggml_tensor *>` */
const Entry = koffi.struct("entry", {
  name: "const char *",
  length: "size_t",
  inline: koffi.array("char", 16),
  tensor: koffi.pointer(Tensor),
});
/** `std::vector` of them. */
const TensorMap = koffi.struct("tensor_map", { begin: "void *", end: "void *" });

const loadBackends = ggml.func("void ggml_backend_load_all_from_path(const char *folder)");
const cpuBufferType = base.func("void *ggml_backend_cpu_buffer_type()");
const deviceByName = ggml.func("void *ggml_backend_dev_by_name(const char *name)");
const deviceBufferType = base.func("void *ggml_backend_dev_buffer_type(void *device)");
const bufferName = base.func("const char *ggml_backend_buffer_name(void *buffer)");
const defaultParams = llama.func("llama_model_params llama_model_default_params()");
const loadModel = llama.func(
  "void *llama_model_load_from_file(const char *path, llama_model_params params)",
);
const freeModel = llama.func("void llama_model_free(void *model)");
// llama.cpp's own way, used by its quantisation, to all tensors of a model.
const tensorMap = llama.func(
  "_Z29llama_internal_get_tensor_mapB5cxx11PK11llama_model",
  koffi.pointer(TensorMap),
  ["void *"],
);

function buffersOf({ gpuLayers, overrides = [], mtp = false }: Load): Buffers {
  const rules = overrides.map(({ pattern, buffer }) => ({
    pattern,
    buft: buffer === "CPU" ? cpuBufferType() : deviceBufferType(deviceByName(buffer)),
  }));
  const model = loadModel(modelPath, {
    ...defaultParams(),
    n_gpu_layers: gpuLayers,
    load_mode: MMAP,
    load_mtp: mtp,
    tensor_buft_overrides: [...rules, { pattern: null, buft: null }],
  });
  if (model === null) throw new Error(`llama.cpp does not load ${modelPath}`);
  const { begin, end } = koffi.decode(tensorMap(model), TensorMap);
  const count = Number(koffi.address(end) - koffi.address(begin)) / koffi.sizeof(Entry);
  const entries: { name: string; tensor: unknown }[] = koffi.decode(
    begin,
    koffi.array(Entry, count),
  );
  const buffers: Buffers = entries.map(({ name, tensor }) => [
    name,
    bufferName(koffi.decode(tensor, Tensor).buffer),
  ]);
  freeModel(model);
  return buffers;
}

loadBackends(folder);
process.stdout.write(JSON.stringify(JSON.parse(loads).map(buffersOf)));
