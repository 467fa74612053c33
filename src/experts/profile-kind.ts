import { isGguf } from "../model/text-file.ts";

/** What a file is by its first bytes, whatever its suffix. */
export type ProfileKind =
  | { readonly format: "gguf" | "json" }
  | { readonly format: "csv"; readonly encoding: "utf-8" | "utf-16le" }
  /** Nothing that can be read, with what it is and what to do, as the end of a sentence. */
  | { readonly format: "none"; readonly why: string };

/** Bytes of the file's beginning that {@link profileKind} wants to see. */
export const KIND_BYTES = 4096;

const FORMATS =
  "a profile is an imatrix in GGUF, a CSV of layer,expert[,count], or what prefault record writes";

/** The old imatrix begins with the count of its entries, then the length of the first name. */
const MOST_DAT_ENTRIES = 200_000;
const MOST_DAT_NAME_BYTES = 255;

/**
 * Tells profiles apart, and what people take for one, by content.
 *
 * @param start - the first {@link KIND_BYTES} of the file, or all of a shorter one
 */
export function profileKind(start: Buffer): ProfileKind {
  const why = whyRefused(start);
  if (why !== undefined) return { format: "none", why };
  if (isGguf(start)) return { format: "gguf" };
  if (start[0] === 0xff && start[1] === 0xfe) return { format: "csv", encoding: "utf-16le" };
  const text = start
    .toString("utf8")
    .replace(/^\uFEFF/, "")
    .trimStart();
  if (text.startsWith("{")) return { format: "json" };
  if (text.startsWith("[")) return none("it is JSON, but not of this package");
  return { format: "csv", encoding: "utf-8" };
}

function whyRefused(start: Buffer): string | undefined {
  if (start.length === 0) return "it is empty";
  if (isOldImatrix(start)) {
    return (
      "it is an imatrix in the old format (.dat), which has no counts for each expert; " +
      "an imatrix in GGUF has them (llama-imatrix writes it since August 2025)"
    );
  }
  const latin = start.toString("latin1");
  if (latin.startsWith("GGUF")) return undefined;
  if (latin.startsWith("PK\x03\x04")) {
    return (
      "it is a zip archive, as PyTorch (.pt) and NumPy (.npz) write; what is in it is not read, " +
      `since a pickle can run code: write its counts as CSV (${FORMATS})`
    );
  }
  // Protocol 2 and later begin with the opcode PROTO and the protocol's number.
  if (start[0] === 0x80 && (start[1] ?? 0) >= 2 && (start[1] ?? 0) <= 5) {
    return `it is a Python pickle, which is not read since it can run code: write its counts as CSV (${FORMATS})`;
  }
  if (start[0] === 0x1f && start[1] === 0x8b) return "it is compressed (gzip): unpack it first";
  if (latin.startsWith("\x28\xb5\x2f\xfd")) return "it is compressed (zstd): unpack it first";
  if (latin.startsWith("version https://git-lfs.github.com/spec/")) {
    return "it is a Git LFS pointer, not the file itself: fetch it with git lfs pull";
  }
  if (/^(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml)/i.test(latin)) {
    return "it is a web page, as a failed download leaves behind";
  }
  if (/^.{8}\{"/s.test(latin) && start.length > 8 && start.readUInt32LE(4) === 0) {
    return `it is a safetensors file; ${FORMATS}`;
  }
  const isUtf16 = start[0] === 0xff && start[1] === 0xfe;
  if (!isUtf16 && start.includes(0)) return `it is a binary file of no known kind; ${FORMATS}`;
  return undefined;
}

/** int32 entries; for each: int32 length of the name, the name, int32 calls, int32 values, floats. */
function isOldImatrix(start: Buffer): boolean {
  if (start.length < 8) return false;
  const entries = start.readInt32LE(0);
  const nameBytes = start.readInt32LE(4);
  const values = 8 + nameBytes + 4;
  return (
    entries >= 1 &&
    entries <= MOST_DAT_ENTRIES &&
    nameBytes >= 1 &&
    nameBytes <= MOST_DAT_NAME_BYTES &&
    start.length >= values + 4 &&
    /^[\x20-\x7e]+$/.test(start.toString("latin1", 8, 8 + nameBytes)) &&
    start.readInt32LE(values) > 0
  );
}

function none(why: string): ProfileKind {
  return { format: "none", why: `${why}; ${FORMATS}` };
}
