import { bool, f32s, i32s, type Metadata, string, strings, u32 } from "./gguf-metadata.ts";

/**
 * Three specials, one token a byte, and the space: enough to encode any text, as SentencePiece falls back to
 * bytes. The space needs its own token because llama.cpp turns it into U+2581 first, and would give that back.
 */
export const SMALLEST_VOCABULARY = 3 + 256 + 1;

// LLAMA_TOKEN_TYPE_* of llama.cpp's llama.h
const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const UNUSED = 5;
const BYTE = 6;

/** @param size tokens, at least {@link SMALLEST_VOCABULARY}; the rest are unused ones that only enlarge the embedding */
export function byteTokenizer(size: number): Metadata {
  if (size < SMALLEST_VOCABULARY)
    throw new RangeError(`a vocabulary has at least ${SMALLEST_VOCABULARY} tokens, got ${size}`);
  const tokens = ["<unk>", "<s>", "</s>"];
  const types = [UNKNOWN, CONTROL, CONTROL];
  for (let byte = 0; byte < 256; byte++) {
    // The spelling is fixed: llama.cpp's byte_to_token looks for it.
    tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    types.push(BYTE);
  }
  tokens.push("\u2581");
  types.push(NORMAL);
  for (let i = tokens.length; i < size; i++) {
    tokens.push(`<unused${i}>`);
    types.push(UNUSED);
  }
  return {
    "tokenizer.ggml.model": string("llama"),
    "tokenizer.ggml.tokens": strings(tokens),
    "tokenizer.ggml.scores": f32s(tokens.map((_, i) => -i)),
    "tokenizer.ggml.token_type": i32s(types),
    "tokenizer.ggml.unknown_token_id": u32(0),
    "tokenizer.ggml.bos_token_id": u32(1),
    "tokenizer.ggml.eos_token_id": u32(2),
    "tokenizer.ggml.add_bos_token": bool(true),
    "tokenizer.ggml.add_space_prefix": bool(false),
  };
}
