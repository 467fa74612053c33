import { LLAMA } from "./llama-options.ts";
import { type OptionTable, option, table, words } from "./options.ts";

/** llama-bench: some flags take a value that have none in llama-server, and values may be lists. */
export const BENCH: OptionTable = {
  options: new Map([
    ...LLAMA.options,
    ["model", option("list", "-m --model")],
    ["mmap", option("value", "-mmp --mmap")],
    ["directIo", option("value", "-dio --direct-io")],
    ["noHost", option("value", "--no-host")],
    ["repack", option("maybe", "--repack / -nr --no-repack")],
    ["kvOffload", option("value", "/ -nkvo --no-kv-offload")],
    ["fit", option("nothing", "--fit")],
    ["lora", option("nothing", "")],
  ]),
  otherValued: new Set([
    ...LLAMA.otherValued,
    ...words(
      "-r --repetitions --delay -o --output -oe --output-err -p --n-prompt -n --n-gen -pg -d " +
        "--n-depth -embd --embeddings -nopo --no-op-offload -tgb --threads-gen-batch",
    ),
  ]),
  otherBare: LLAMA.otherBare,
};

/** llama-run: the model is the first word that is neither a flag nor a value. */
export const RUN: OptionTable = {
  options: new Map([
    ...LLAMA.options,
    ["model", option("value", "")],
    ["gpuLayers", option("value", "-ngl --ngl -n --n-gpu-layers", "N_GPU_LAYERS")],
    ["ctx", option("value", "-c --context-size --ctx-size")],
  ]),
  otherValued: new Set(words("--temp -t --threads --chat-template-file -p --prompt")),
  otherBare: new Set(),
};

/** Ollama's runner, as `ps` shows it: llama.cpp's flags, and a few of its own. */
export const OLLAMA: OptionTable = {
  options: LLAMA.options,
  otherValued: LLAMA.otherValued,
  otherBare: new Set([...LLAMA.otherBare, "--ollama-engine", "--multiuser-cache"]),
};

/** llamafile: llama.cpp's flags, and one that turns the GPU off. */
export const LLAMAFILE: OptionTable = {
  options: new Map([...LLAMA.options, ["gpu", option("value", "--gpu")]]),
  otherValued: LLAMA.otherValued,
  otherBare: new Set([...LLAMA.otherBare, "--recompile", "--nocompile"]),
};

/** koboldcpp, which also takes llama.cpp's spelling of some flags. */
export const KOBOLDCPP: OptionTable = table(
  {
    model: option("many", "-m --model --model-param"),
    config: option("value", "--config"),
    gpuLayers: option("maybe", "--gpulayers --gpu-layers --n-gpu-layers -ngl"),
    cpuOnly: option("nothing", "--usecpu"),
    device: option("value", "--device -dev"),
    overrideTensor: option("value", "--overridetensors --override-tensor -ot"),
    nCpuMoe: option("maybe", "--moecpu --n-cpu-moe -ncmoe", "", { alone: "999" }),
    cpuMoe: option("nothing", "--cpu-moe -cmoe"),
    fit: option("nothing", "--autofit --fit -fit"),
    mmap: option("nothing", "--usemmap / --nommap --no-mmap"),
    mlock: option("nothing", "--usemlock --mlock"),
    draftModel: option("value", "--draftmodel --model-draft -md"),
    draftGpuLayers: option(
      "value",
      "--draftgpulayers --gpu-layers-draft --n-gpu-layers-draft -ngld",
    ),
    mmproj: option("value", "--mmproj"),
    mmprojOffload: option("nothing", "/ --mmprojcpu --no-mmproj-offload"),
    lora: option("many", "--lora"),
    companion: option(
      "value",
      "--sdmodel --sdt5xxl --sdclip1 --sdclipl --sdclip2 --sdclipg --sdvae --whispermodel " +
        "--ttsmodel --ttswavtokenizer --embeddingsmodel --musicllm --musicembeddings " +
        "--musicdiffusion --musicvae",
    ),
    host: option("value", "--host"),
    port: option("value", "--port"),
    ctx: option("value", "--contextsize --ctx-size -c"),
  },
  `--threads -t --maingpu --main-gpu -mg --batchsize --blasbatchsize --batch-size -b --blasthreads
   --batchthreads --threadsbatch --threads-batch --splitmode -sm --split-mode --loramult
   --swapadding --smartcache --overridenativecontext --prompt -p --genlimit --promptlimit
   --preloadstory --savedatafile --visionmaxres --visionmintokens --image-min-tokens
   --visionmaxtokens --image-max-tokens --draftamount --draft-max --draft-n --password --ratelimit
   --chatcompletionsadapter --jinja-kwargs --jinja-tools --jinjatemplate --chat-template-file
   --quantkv --unpack --exportconfig --exporttemplate --moeexperts --defaultgenamt
   --maxrequestsize --overridekv --override-kv --gendefaults --mcpfile --downloaddir
   --autofitpadding --hordemodelname --hordeworkername --hordekey --hordemaxctx --hordegenlen
   --sdthreads --sdclampedsoft --sdlora --sdloramult --sdtiledvae --sdmaingpu --ttsmaxlen
   --ttsthreads --ttsdir --embeddingsmaxctx --admindir --adminpassword --adminunloadtimeout
   --reqtimeout --baseconfig --analyze --onready --tensor-split --tensorsplit -ts --draftgpusplit
   --usecuda --usecublas --usehipblas --usevulkan --useclblast`,
  "--sdvaecpu --sdoffloadcpu --sdclipgpu --ttsgpu --embeddingsgpu --lowvram --no-kv-offload -nkvo",
);

const PYDANTIC = { prefix: "" };

/** `python -m llama_cpp.server`: every flag takes a value, and each has a variable of its name. */
export const LLAMA_CPP_PYTHON: OptionTable = table(
  {
    model: option("value", "--model", "MODEL", PYDANTIC),
    config: option("value", "--config-file", "CONFIG_FILE", PYDANTIC),
    hfRepo: option("value", "--hf-model-repo-id", "HF_MODEL_REPO_ID", PYDANTIC),
    gpuLayers: option("value", "--n-gpu-layers", "N_GPU_LAYERS", PYDANTIC),
    mmap: option("value", "--use-mmap", "USE_MMAP", PYDANTIC),
    mlock: option("value", "--use-mlock", "USE_MLOCK", PYDANTIC),
    numa: option("value", "--numa", "NUMA", PYDANTIC),
    lora: option("value", "--lora-path", "LORA_PATH", PYDANTIC),
    mmproj: option("value", "--clip-model-path", "CLIP_MODEL_PATH", PYDANTIC),
    host: option("value", "--host", "HOST", PYDANTIC),
    port: option("value", "--port", "PORT", PYDANTIC),
    splitMode: option("value", "--split-mode"),
    tensorSplit: option("many", "--tensor-split"),
    mainGpu: option("value", "--main-gpu"),
    kvOffload: option("value", "--offload-kqv"),
  },
  `--model-alias --vocab-only --kv-overrides --rpc-servers --seed --n-ctx --n-batch --n-ubatch
   --n-threads --n-threads-batch --chat-format --cache --cache-type --cache-size --draft-model
   --draft-model-num-pred-tokens --type-k --type-v --verbose --api-key --flash-attn --embedding
   --hf-tokenizer-config-path --hf-pretrained-model-name-or-path --last-n-tokens-size --lora-base
   --root-path --ssl-keyfile --ssl-certfile --interrupt-requests --logits-all --mul-mat-q`,
);
