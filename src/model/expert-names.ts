/** What a tensor of routed experts holds. `gate_up` is gate and up in one, as some converters write. */
export type ExpertPart = "gate" | "up" | "down" | "gate_up" | "other";

/** Where a tensor of routed experts belongs. */
export interface ExpertName {
  readonly block: number;
  readonly part: ExpertPart;
  /** The expert that the tensor holds alone; `undefined` when all experts of the block lie in it. */
  readonly expert: number | undefined;
  /** Which dimension of a stacked tensor counts the experts: its slowest one. */
  readonly expertDimension: "first" | "last";
  /** Experts that groups of experts share (Grove MoE, `chexps`): there are fewer of them. */
  readonly isChunk: boolean;
}

/** Longer than any name of a real model, and short enough for patterns that look back. */
const MOST_NAME_CHARACTERS = 512;

/** `blk.3.ffn_gate_exps.weight`. Biases and scales are small, and every one of them is read. */
const GGUF_STACKED = /^blk\.(\d{1,6})\.ffn_(gate_up|up_gate|gate|up|down)_(ch)?exps\.weight$/;

/** `blk.3.ffn_gate.7.weight`, as Mixtral was converted at first. */
const GGUF_SINGLE = /^blk\.(\d{1,6})\.ffn_(gate|up|down)\.(\d{1,6})\.weight$/;

/** `model.layers.3.mlp.experts.7.gate_proj.weight`, whatever a quantiser calls the last part. */
const SINGLE = /^(?:.*\.)?layers\.(\d{1,6})\.(?:.*\.)?experts\.(\d{1,6})\.([^.]+)\..+$/;

/** `model.layers.3.mlp.experts.gate_up_proj`, also as blocks and scales (gpt-oss). */
const STACKED =
  /^(?:.*\.)?layers\.(\d{1,6})\.(?:.*\.)?experts\.(gate_up|gate|up|down)_proj(?:_blocks|_scales|\.weight)?$/;

/** The heads that predict further tokens number their layers from 0 again. */
const EXTRA_HEAD = /(?:^|\.)mtp\./;

/** As Mixtral names the three matrices of an expert. */
const MIXTRAL_PARTS: Readonly<Record<string, ExpertPart>> = { w1: "gate", w2: "down", w3: "up" };

/**
 * Reads from a name whether a tensor belongs to routed experts: of which a token reads a few.
 *
 * @returns `undefined` for every other tensor: shared experts, routers, biases, what is dense
 */
export function parseExpertName(name: string): ExpertName | undefined {
  if (name.length > MOST_NAME_CHARACTERS) return undefined;
  if (name.startsWith("blk.")) return parseGguf(name);
  return EXTRA_HEAD.test(name) ? undefined : parseSafetensors(name);
}

/** Divides items into what every token reads and routed experts, by the names of their tensors. */
export function divideExperts<T>(
  items: readonly T[],
  nameOf: (item: T) => string,
): { core: T[]; experts: T[] } {
  const core: T[] = [];
  const experts: T[] = [];
  for (const item of items) {
    (parseExpertName(nameOf(item)) === undefined ? core : experts).push(item);
  }
  return { core, experts };
}

function parseGguf(name: string): ExpertName | undefined {
  const stacked = GGUF_STACKED.exec(name);
  if (stacked !== null) {
    const [, block, part, chunk] = stacked;
    return expertName(block, partOf(part), undefined, "last", chunk !== undefined);
  }
  const single = GGUF_SINGLE.exec(name);
  if (single === null) return undefined;
  return expertName(single[1], partOf(single[2]), Number(single[3]), "last");
}

function parseSafetensors(name: string): ExpertName | undefined {
  const single = SINGLE.exec(name);
  if (single !== null) {
    const [, block, expert, matrix = ""] = single;
    const part = MIXTRAL_PARTS[matrix] ?? partOf(matrix.replace(/_proj$/, ""));
    return expertName(block, part, Number(expert), "first");
  }
  const stacked = STACKED.exec(name);
  if (stacked === null) return undefined;
  return expertName(stacked[1], partOf(stacked[2]), undefined, "first");
}

function expertName(
  block: string | undefined,
  part: ExpertPart,
  expert: number | undefined,
  expertDimension: "first" | "last",
  isChunk = false,
): ExpertName {
  return { block: Number(block), part, expert, expertDimension, isChunk };
}

function partOf(text: string | undefined): ExpertPart {
  if (text === "up_gate") return "gate_up";
  return text === "gate" || text === "up" || text === "down" || text === "gate_up" ? text : "other";
}
