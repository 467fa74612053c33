import type { FileHandle } from "node:fs/promises";

/** A file that was saved in place of a model, as its first bytes show. */
export interface Disguise {
  /** In words: "is …". */
  readonly what: string;
  /** What to do about it. */
  readonly advice: string;
}

/** Enough for the first lines of a text. */
const START_BYTES = 4096;

/** The first bytes of a file; fewer where it has fewer. */
export async function readStart(handle: FileHandle, byteLength: number): Promise<Buffer> {
  const start = Buffer.alloc(Math.min(START_BYTES, byteLength));
  const { bytesRead } = await handle.read(start, 0, start.length, 0);
  return start.subarray(0, bytesRead);
}

/** The whole of a small file as text. */
export async function readText(handle: FileHandle, byteLength: number): Promise<string> {
  const bytes = Buffer.alloc(byteLength);
  const { bytesRead } = await handle.read(bytes, 0, byteLength, 0);
  return bytes.toString("utf8", 0, bytesRead).replace(/^\uFEFF/, "");
}

/** Names of files of weights. A text under such a name is no model. */
const MODEL_NAME =
  /\.(gguf|ggml|ggjt|safetensors|bin|pt|pth|ckpt|onnx|llamafile)$|(^|[\\/])(sha256[-:])?[0-9a-f]{40,64}$/i;

const POINTER = /^version https:\/\/(git-lfs|hawser)\.github\.com\/spec\//;
const PAGE = /^\s*(<!doctype html|<html[\s>]|<head[\s>])/i;
const XML = /^\s*<\?xml\b/i;
const ERROR_TEXT =
  /^\s*(entry not found|not found|file not found|repository not found|invalid (username|credentials|rev)|access to (model|this)|access denied|unauthori[sz]ed|forbidden|internal server error|too many requests|\d{3} \w|error\b|moved permanently|temporary redirect|cannot |you need to )/i;

/**
 * Recognises a file that was saved in place of a model: a pointer, a web page, a message of a server.
 * `undefined` for any other file.
 */
export function disguiseOf(path: string, start: Buffer, byteLength: number): Disguise | undefined {
  const text = start.toString("utf8");
  if (POINTER.test(text)) {
    const size = /^size (\d+)/m.exec(text)?.[1];
    const of = size === undefined ? "" : ` to a model of ${size} bytes`;
    return { what: `a Git LFS pointer${of}, not the model`, advice: "fetch it with git lfs pull" };
  }
  if (/^# ?xet version/i.test(text)) {
    return { what: "a Xet pointer, not the model", advice: "fetch it with git xet pull" };
  }
  if (/^\/?(\.\.\/)*\.?git\/annex\/objects\/|^\/annex\/objects\//.test(text) && byteLength < 4096) {
    return { what: "a git-annex pointer, not the model", advice: "fetch it with git annex get" };
  }
  const isNamedAsModel = MODEL_NAME.test(path);
  const again = "download it again (a gated or private model needs a token)";
  if (PAGE.test(text) && !/\.(x?html?|md|txt)$/i.test(path)) {
    return { what: "a web page, not a model", advice: again };
  }
  if (!isNamedAsModel || byteLength > START_BYTES) return undefined;
  if (XML.test(text)) return { what: "an XML message, not a model", advice: again };
  if (ERROR_TEXT.test(text) || isErrorBody(text)) {
    return { what: `a server's message, not a model: ${oneLine(text)}`, advice: again };
  }
  return undefined;
}

/** Whether bytes are plain text. */
export function isText(start: Buffer): boolean {
  if (start.length === 0) return false;
  // A text has no control characters but tabs and line breaks.
  if (start.some((byte) => byte < 0x20 && (byte < 0x09 || byte > 0x0d))) return false;
  // The last character may be cut in half.
  return !start.toString("utf8").slice(0, -1).includes("\ufffd");
}

/** The first line, short enough for a message. */
export function oneLine(text: string): string {
  const line = text.trim().split("\n", 1)[0] ?? "";
  return JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}…` : line);
}

function isErrorBody(text: string): boolean {
  if (!text.trimStart().startsWith("{")) return false;
  try {
    const body = JSON.parse(text) as Record<string, unknown>;
    return ["error", "errors", "message", "detail"].some((key) => key in body);
  } catch {
    return false;
  }
}

/** Whether a file begins as a GGUF does. @param start its first bytes */
export function isGguf(start: Buffer): boolean {
  return start.toString("latin1", 0, 4) === "GGUF";
}

/** Formats of ggml before GGUF, by their first four bytes. */
const OLD_MAGICS: ReadonlyMap<string, string> = new Map([
  ["lmgg", "ggml"],
  ["fmgg", "ggmf"],
  ["tjgg", "ggjt"],
  ["algg", "ggla, a LoRA adapter"],
]);

/** The name of a format from before GGUF; `undefined` for any other file. @param start its first bytes */
export function oldFormatOf(start: Buffer): string | undefined {
  return OLD_MAGICS.get(start.toString("latin1", 0, 4));
}
