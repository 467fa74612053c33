import {
  type OptionName,
  type OptionSpec,
  type OptionTable,
  option,
  spelling,
  table,
  words,
} from "./options.ts";

/**
 * The flags of llama.cpp's tools (`common/arg.cpp`), with those that were removed in 2026 and those of
 * ik_llama.cpp, and the environment variables of the same meaning.
 */
const LLAMA_OPTIONS: Readonly<Partial<Record<OptionName, OptionSpec>>> = {
  model: option("value", "-m --model", "MODEL"),
  modelUrl: option("value", "-mu --model-url", "MODEL_URL"),
  dockerRepo: option("value", "-dr --docker-repo", "DOCKER_REPO"),
  hfRepo: option("value", "-hf -hfr --hf-repo", "HF_REPO"),
  hfFile: option("value", "-hff --hf-file", "HF_FILE"),
  modelsDir: option("value", "--models-dir", "MODELS_DIR"),
  modelsPreset: option("value", "--models-preset", "MODELS_PRESET"),

  gpuLayers: option("value", "-ngl --gpu-layers --n-gpu-layers", "N_GPU_LAYERS"),
  device: option("value", "-dev --device", "DEVICE"),
  overrideTensor: option("value", "-ot --override-tensor", "OVERRIDE_TENSOR"),
  cpuMoe: option("nothing", "-cmoe --cpu-moe", "CPU_MOE"),
  nCpuMoe: option("value", "-ncmoe --n-cpu-moe", "N_CPU_MOE"),
  nCpuFfn: option("value", "-ncffn --n-cpu-ffn", "N_CPU_FFN"),
  fit: option("maybe", "-fit --fit", "FIT"),
  fitTarget: option("value", "--fit-margin -fitt --fit-target", "FIT_TARGET"),
  fitCtx: option("value", "-fitc --fit-ctx", "FIT_CTX"),
  splitMode: option("value", "-sm --split-mode", "SPLIT_MODE"),
  tensorSplit: option("value", "-ts --tensor-split", "TENSOR_SPLIT"),
  mainGpu: option("value", "-mg --main-gpu", "MAIN_GPU"),
  moeCache: option("value", "--moe-cache-mib", "MOE_CACHE_MIB"),

  loadMode: option("value", "-lm --load-mode", "LOAD_MODE"),
  mmap: option("nothing", "--mmap / --no-mmap", "MMAP"),
  mlock: option("nothing", "--mlock", "MLOCK"),
  directIo: option("nothing", "-dio --direct-io / -ndio --no-direct-io", "DIO DIRECT_IO"),
  lazyMode: option("value", "-lzm --lazy-mode --tensor-read-lazy", "LAZY_MODE"),
  numa: option("value", "--numa", "NUMA"),
  repack: option("nothing", "--repack / -nr --no-repack", "REPACK"),
  noHost: option("nothing", "--no-host", "NO_HOST"),
  runTimeRepack: option("maybe", "-rtr --run-time-repack"),
  mergeUpGate: option("maybe", "-muge --merge-up-gate-experts --merge-up-gate-exps"),
  mergeQkv: option("maybe", "-mqkv --merge-qkv"),
  hugePages: option("maybe", "-thp --transparent-huge-pages"),
  deferExperts: option("nothing", "--defer-experts"),
  warmup: option("nothing", "--warmup / --no-warmup", "WARMUP"),

  ctx: option("value", "-c --ctx-size", "CTX_SIZE"),
  batch: option("value", "-b --batch-size", "BATCH"),
  ubatch: option("value", "-ub --ubatch-size", "UBATCH"),
  flashAttn: option("maybe", "-fa --flash-attn", "FLASH_ATTN"),
  cacheTypeK: option("value", "-ctk --cache-type-k", "CACHE_TYPE_K"),
  cacheTypeV: option("value", "-ctv --cache-type-v", "CACHE_TYPE_V"),
  kvOffload: option("nothing", "-kvo --kv-offload / -nkvo --no-kv-offload", "KV_OFFLOAD"),

  specType: option("value", "--spec-type", "SPEC_TYPE"),
  mtp: option("nothing", "-mtp --multi-token-prediction"),
  draftModel: option(
    "value",
    "-md --model-draft --spec-draft-model",
    "SPEC_DRAFT_MODEL MODEL_DRAFT",
  ),
  draftHfRepo: option(
    "value",
    "-hfd -hfrd --hf-repo-draft --spec-draft-hf",
    "SPEC_DRAFT_HF_REPO HFD_REPO HF_REPO_DRAFT",
  ),
  draftGpuLayers: option(
    "value",
    "-ngld --gpu-layers-draft --n-gpu-layers-draft --spec-draft-ngl",
    "N_GPU_LAYERS_DRAFT SPEC_DRAFT_NGL",
  ),
  draftDevice: option(
    "value",
    "-devd --device-draft --spec-draft-device",
    "DEVICE_DRAFT SPEC_DRAFT_DEVICE",
  ),
  draftOverrideTensor: option(
    "value",
    "-otd --override-tensor-draft --spec-draft-override-tensor",
    "OVERRIDE_TENSOR_DRAFT SPEC_DRAFT_OVERRIDE_TENSOR",
  ),
  draftCpuMoe: option(
    "nothing",
    "-cmoed --cpu-moe-draft --spec-draft-cpu-moe",
    "SPEC_DRAFT_CPU_MOE CPU_MOE_DRAFT",
  ),
  draftNCpuMoe: option(
    "value",
    "-ncmoed --n-cpu-moe-draft --spec-draft-n-cpu-moe --spec-draft-ncmoe",
    "SPEC_DRAFT_N_CPU_MOE N_CPU_MOE_DRAFT",
  ),

  mmproj: option("list", "-mm --mmproj", "MMPROJ"),
  mmprojUrl: option("value", "-mmu --mmproj-url", "MMPROJ_URL"),
  mmprojAuto: option("nothing", "--mmproj-auto / --no-mmproj --no-mmproj-auto", "MMPROJ_AUTO"),
  mmprojOffload: option(
    "nothing",
    "--mmproj-offload / --no-mmproj-offload --no-mmproj-gpu",
    "MMPROJ_OFFLOAD",
  ),
  mmprojDevice: option("value", "-mmdev --mmproj-device", "MTMD_BACKEND_DEVICE", { prefix: "" }),
  lora: option("list", "--lora --lora-scaled", "LORA"),
  controlVector: option("list", "--control-vector --control-vector-scaled"),

  host: option("value", "--host", "HOST"),
  port: option("value", "--port", "PORT"),
  apiPrefix: option("value", "--api-prefix", "API_PREFIX"),
};

/** From the help of llama-server, llama-cli and ik_llama.cpp. */
const OTHER_VALUED = `
  -t --threads -tb --threads-batch -C --cpu-mask -Cr --cpu-range --cpu-strict --prio --poll -Cb
  --cpu-mask-batch -Crb --cpu-range-batch --cpu-strict-batch --prio-batch --poll-batch -n --predict
  --n-predict --keep --rope-scaling --rope-scale --rope-freq-base --rope-freq-scale --yarn-orig-ctx
  --yarn-ext-factor --yarn-attn-factor --yarn-beta-slow --yarn-beta-fast -dt --defrag-thold --rpc
  --override-kv -hft --hf-token --log-file --log-colors -lv --verbosity --log-verbosity -ctkd
  --cache-type-k-draft --spec-draft-type-k -ctvd --cache-type-v-draft --spec-draft-type-v --samplers
  -s --seed --sampler-seq --sampling-seq --temp --temperature --top-k --top-p --min-p --top-nsigma
  --top-n-sigma --xtc-probability --xtc-threshold --typical --typical-p --repeat-last-n
  --repeat-penalty --presence-penalty --frequency-penalty --dry-multiplier --dry-base
  --dry-allowed-length --dry-penalty-last-n --dry-sequence-breaker --adaptive-target
  --adaptive-decay --dynatemp-range --dynatemp-exp --mirostat --mirostat-lr --mirostat-ent -l
  --logit-bias --grammar --grammar-file -j --json-schema -jf --json-schema-file -lcs
  --lookup-cache-static -lcd --lookup-cache-dynamic --kv-unified-per-slot -ctxcp --ctx-checkpoints
  --swa-checkpoints -cms --checkpoint-min-step -cram --cache-ram -r --reverse-prompt --pooling -np
  --parallel --image-min-tokens --image-max-tokens --mtmd-batch-max-tokens --video-fps
  --video-timestamp-interval --video-ffmpeg-dir -a --alias --tags --embd-normalize --path
  --cors-origins --cors-methods --cors-headers --ui-config --webui-config --ui-config-file
  --webui-config-file --tools --tools-runtime --mcp-servers-config --mcp-servers-json --api-key
  --api-key-file --ssl-key-file --ssl-cert-file --chat-template-kwargs -to --timeout
  --sse-ping-interval --threads-http --cache-reuse --slot-save-path --media-path --models-max
  --reasoning-format -rea --reasoning --reasoning-effort --reasoning-budget
  --reasoning-budget-message --chat-template --chat-template-file -sps --slot-prompt-similarity
  --sleep-idle-seconds --log-prompts-dir -td --threads-draft --spec-draft-threads -tbd
  --threads-batch-draft --spec-draft-threads-batch -Cd --cpu-mask-draft --spec-draft-cpu-mask -Crd
  --cpu-range-draft --spec-draft-cpu-range --cpu-strict-draft --spec-draft-cpu-strict --prio-draft
  --spec-draft-prio --poll-draft --spec-draft-poll -Cbd --cpu-mask-batch-draft
  --spec-draft-cpu-mask-batch --cpu-strict-batch-draft --spec-draft-cpu-strict-batch
  --prio-batch-draft --spec-draft-prio-batch --poll-batch-draft --spec-draft-poll-batch
  --spec-draft-n-max --spec-draft-n-min --spec-synth-len --spec-synth-rates --spec-draft-p-split
  --draft-p-split --spec-draft-p-min --draft-p-min --spec-draft-sampling --draft --draft-n
  --draft-max --draft-min --draft-n-min -cd --ctx-size-draft -p --prompt -sys --system-prompt -f
  --file -sysf --system-prompt-file -bf --binary-file --in-prefix --in-suffix --image --audio -gan
  --grp-attn-n -gaw --grp-attn-w --prompt-cache -ps --p-split --chunks -mv --model-vocoder
  -mla --mla-use -amb --attention-max-batch -ser --smart-expert-reduction -op --offload-policy -grt
  --graph-reduce-type --max-gpu -cuda --cuda-params -draft --draft-params -crs
  --cache-ram-similarity -cram-n-min --cache-ram-n-min --kv-cache-type --control-vector-layer-range
  --max-layers --prefetch-experts-threads
`;

const OTHER_BARE = `
  --check-tensors --op-offload --no-op-offload -nopo --prefetch-experts --list-devices
  -ooae --offload-only-active-experts -fmoe --fused-moe -no-fmoe --no-fmoe --no-fused-moe
  -ger --grouped-expert-routing --lora-init-without-apply
`;

export const LLAMA: OptionTable = table(LLAMA_OPTIONS, OTHER_VALUED, OTHER_BARE);

/** Flags that only ik_llama.cpp has: llama.cpp does not start with them. */
const OF_IK = new Set(
  words(`
    -rtr --run-time-repack -fmoe --fused-moe -no-fmoe --no-fmoe --no-fused-moe -mla --mla-use -amb
    --attention-max-batch -ser --smart-expert-reduction -muge --merge-up-gate-experts
    --merge-up-gate-exps -mqkv --merge-qkv -khad --k-cache-hadamard -ger --grouped-expert-routing
    -ooae --offload-only-active-experts --defer-experts --prefetch-experts -smgs
    --split-mode-graph-scheduling -smf16 -smf32 -grt --graph-reduce-type --max-gpu -cuda
    --cuda-params -thp --transparent-huge-pages -op --offload-policy -sas --scheduler-async
    -vq --validate-quants -no-fug --no-fug -no-mmad --no-mmad -gr --graph-reuse -no-gr --no-gr
    --fit-margin
  `),
);

/** Whether arguments hold a flag that only ik_llama.cpp has. */
export function isOfIk(args: readonly string[]): boolean {
  return args.some((word, at) => {
    const flag = spelling(word);
    const isGraph = /^(-sm|--split-mode)$/.test(flag) && args[at + 1] === "graph";
    return OF_IK.has(flag) || isGraph;
  });
}
