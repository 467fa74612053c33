/**
 * The names of tensors in GGUF files, in the groups that passes use.
 * A role is the part of a name after `blk.N.`; all of them end in `.weight`.
 */

export const EMBEDDING = "token_embd.weight";
export const OUTPUT_NORM = "output_norm.weight";
export const OUTPUT = "output.weight";
export const PER_LAYER_TABLE = "per_layer_token_embd.weight";
export const PER_LAYER_NORM = "per_layer_proj_norm.weight";

export const ATTENTION_NORM = "attn_norm";
export const FFN_NORM = "ffn_norm";
export const POST_ATTENTION_NORM = "post_attention_norm";
export const POST_FFN_NORM = "post_ffw_norm";
export const ATTENTION_KEY = "attn_k";
export const ATTENTION_VALUE = "attn_v";

export const ATTENTION = ["attn_q", ATTENTION_KEY, ATTENTION_VALUE, "attn_output"] as const;
/** What a gated delta net (linear attention) layer has in place of attention. */
export const GATED_DELTA_NET = [
  "attn_qkv",
  "attn_gate",
  "ssm_out",
  "ssm_alpha",
  "ssm_beta",
] as const;
export const ROUTER = "ffn_gate_inp";
/** Stacked: one tensor holds the slices of all experts of a layer. A token reads a few of them. */
export const ROUTED_EXPERTS = ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"] as const;
export const SHARED_EXPERTS = ["ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"] as const;
export const DENSE_FFN = ["ffn_gate", "ffn_up", "ffn_down"] as const;
/** The per-layer part of per-layer embeddings (Gemma). The table itself is {@link PER_LAYER_TABLE}. */
export const PER_LAYER_EMBEDDING = ["inp_gate", "proj", "post_norm"] as const;

/**
 * Tensors the reference converts into a private F32 copy while it loads: inference never reads
 * them from the mapping, so no sweep lists them.
 */
export const COPIES: ReadonlySet<string> = new Set([
  "attn_q.bias",
  "attn_k.bias",
  "attn_v.bias",
  "attn_output.bias",
  "attn_q_norm.weight",
  "attn_k_norm.weight",
  "layer_output_scale.weight",
  "rope_freqs.weight",
  "per_layer_model_proj.weight",
  "ffn_gate_inp_shexp.weight",
  "ssm_a",
  "ssm_dt.bias",
  "ssm_norm.weight",
  "ssm_conv1d.weight",
  "nextn.enorm.weight",
  "nextn.hnorm.weight",
  "nextn.shared_head_norm.weight",
  "nextn.eh_proj.weight",
]);

/** The names of parts in reasons: every reason begins with one of these. */
const PARTS: readonly (readonly [part: string, roles: readonly string[]])[] = [
  ["token embedding", ["token_embd"]],
  ["output norm", ["output_norm"]],
  ["output head", ["output"]],
  ["per-layer embedding table", ["per_layer_token_embd"]],
  ["per-layer embeddings", ["per_layer_proj_norm", "per_layer_model_proj", ...PER_LAYER_EMBEDDING]],
  [
    "norms",
    [ATTENTION_NORM, FFN_NORM, POST_ATTENTION_NORM, POST_FFN_NORM, "attn_q_norm", "attn_k_norm"],
  ],
  ["attention", ATTENTION],
  ["gated delta net", GATED_DELTA_NET],
  ["router", [ROUTER]],
  ["routed experts", ROUTED_EXPERTS],
  ["shared experts", SHARED_EXPERTS],
  ["dense FFN", DENSE_FFN],
];

const PART_OF_ROLE: ReadonlyMap<string, string> = new Map(
  PARTS.flatMap(([part, roles]) => roles.map((role) => [role, part] as const)),
);

const ROUTED: ReadonlySet<string> = new Set(ROUTED_EXPERTS.map((role) => `${role}.weight`));

/** A tensor's name, parsed. */
export interface TensorName {
  /** Number of the block, `undefined` for a tensor of the whole model. */
  readonly block: number | undefined;
  /** What follows `blk.N.`, or the whole name: `attn_q.weight`. */
  readonly role: string;
}

/** Encoder-decoder models put `enc.` or `dec.` in front; their blocks are placed like any other. */
const BLOCK_NAME = /^(?:enc\.|dec\.)?blk\.(\d{1,9})\.(.+)$/;

export function parseTensorName(name: string): TensorName {
  const match = BLOCK_NAME.exec(name);
  if (match === null) return { block: undefined, role: name };
  return { block: Number(match[1]), role: match[2] ?? "" };
}

/** `blk.3.attn_q.weight` for (3, "attn_q"). */
export function blockTensor(block: number, role: string): string {
  return `blk.${block}.${role}.weight`;
}

/** Whether a role is of routed experts, of which a token uses only some. */
export function isRoutedExpert(role: string): boolean {
  return ROUTED.has(role);
}

/** The three tensors that are together on the CPU or on the GPU. */
export function isHeadTensor(role: string): boolean {
  return role === EMBEDDING || role === OUTPUT_NORM || role === OUTPUT;
}

/** Models converted before 2024 have each expert as a tensor of its own: `ffn_gate.3.weight`. */
const SINGLE_EXPERT = /^ffn_(gate|up|down)\.\d+\.weight$/;

/** The name of a role's part: "attention" for `attn_q.weight`; "other weights" for an unknown role. */
export function partOf(role: string): string {
  if (SINGLE_EXPERT.test(role)) return "routed experts";
  const dot = role.lastIndexOf(".");
  return PART_OF_ROLE.get(dot < 0 ? role : role.slice(0, dot)) ?? "other weights";
}
