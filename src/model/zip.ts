import type { FileHandle } from "node:fs/promises";

/** A file that is stored in an archive without compression. */
export interface StoredFile {
  readonly name: string;
  /** Bytes from the start of the archive to its contents. */
  readonly start: number;
  readonly byteLength: number;
}

/** The files of an archive whose names match. */
export interface Archive {
  readonly stored: readonly StoredFile[];
  /** Names of compressed files, which cannot be mapped. */
  readonly compressed: readonly string[];
}

/** APPNOTE.TXT 4.3: signatures and sizes of the fixed parts. */
const END = { signature: 0x06054b50, bytes: 22 };
const END64_LOCATOR = { signature: 0x07064b50, bytes: 20 };
const END64 = { signature: 0x06064b50, bytes: 56 };
const ENTRY = { signature: 0x02014b50, bytes: 46 };
const LOCAL = { signature: 0x04034b50, bytes: 30 };
const ZIP64_EXTRA = 1;
const STORED = 0;

/** A comment of up to 64 KiB may follow the end record. */
const MOST_TAIL_BYTES = END.bytes + 65_535;
/** A llamafile has a dozen entries; a checkpoint of PyTorch some thousands. */
const MOST_DIRECTORY_BYTES = 16 * 1024 ** 2;
const MOST_ENTRIES = 100_000;

/** Marks a 32-bit field whose value is in the ZIP64 part. */
const IN_ZIP64 = 0xffffffff;

interface Directory {
  readonly offset: number;
  readonly byteLength: number;
  /** Bytes that were put before the archive, which the offsets in it do not count. */
  readonly shift: number;
}

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly packedBytes: number;
  readonly bytes: number;
  readonly localOffset: number;
}

/**
 * Lists the files of a zip archive whose names match a pattern. The archive may have other bytes before it:
 * a llamafile is an executable and a zip archive. Every number is checked against the size of the file
 * before it is used.
 *
 * @returns `null` for a file that is no zip archive
 */
export async function readArchive(
  handle: FileHandle,
  fileBytes: number,
  wanted: RegExp,
): Promise<Archive | null> {
  const directory = await findDirectory(handle, fileBytes);
  if (directory === null) return null;
  const { offset, byteLength, shift } = directory;
  const bytes = await readExactly(handle, offset + shift, byteLength);
  if (bytes === null) return null;
  const stored: StoredFile[] = [];
  const compressed: string[] = [];
  for (const entry of entriesOf(bytes)) {
    if (!wanted.test(entry.name)) continue;
    if (entry.method !== STORED || entry.packedBytes !== entry.bytes) {
      compressed.push(entry.name);
      continue;
    }
    const start = await startOf(handle, entry.localOffset + shift, fileBytes);
    if (start === null || start + entry.bytes > fileBytes) continue;
    stored.push({ name: entry.name, start, byteLength: entry.bytes });
  }
  return { stored, compressed };
}

async function findDirectory(handle: FileHandle, fileBytes: number): Promise<Directory | null> {
  const tailBytes = Math.min(MOST_TAIL_BYTES, fileBytes);
  const tail = await readExactly(handle, fileBytes - tailBytes, tailBytes);
  if (tail === null) return null;
  for (let at = tail.length - END.bytes; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END.signature) continue;
    const endAt = fileBytes - tailBytes + at;
    const directory =
      (await directory64(handle, endAt)) ??
      checked(tail.readUInt32LE(at + 12), tail.readUInt32LE(at + 16), endAt);
    if (directory !== null) return directory;
  }
  return null;
}

async function directory64(handle: FileHandle, endAt: number): Promise<Directory | null> {
  const locatorAt = endAt - END64_LOCATOR.bytes;
  const locator = await readExactly(handle, locatorAt, END64_LOCATOR.bytes);
  if (locator?.readUInt32LE(0) !== END64_LOCATOR.signature) return null;
  // At the offset in its locator, or just before its locator if bytes were put before the archive.
  for (const at of [Number(locator.readBigUInt64LE(8)), locatorAt - END64.bytes]) {
    if (at + END64.bytes > locatorAt) continue;
    const end = await readExactly(handle, at, END64.bytes);
    if (end?.readUInt32LE(0) !== END64.signature) continue;
    return checked(Number(end.readBigUInt64LE(40)), Number(end.readBigUInt64LE(48)), at);
  }
  return null;
}

/** The directory ends where its end record begins. */
function checked(byteLength: number, offset: number, endAt: number): Directory | null {
  const shift = endAt - byteLength - offset;
  const isPlausible =
    byteLength >= ENTRY.bytes &&
    byteLength <= MOST_DIRECTORY_BYTES &&
    Number.isSafeInteger(offset) &&
    shift >= 0;
  return isPlausible ? { offset, byteLength, shift } : null;
}

function* entriesOf(directory: Buffer): Generator<Entry> {
  let at = 0;
  for (let count = 0; count < MOST_ENTRIES; count++) {
    if (at + ENTRY.bytes > directory.length) return;
    if (directory.readUInt32LE(at) !== ENTRY.signature) return;
    const nameBytes = directory.readUInt16LE(at + 28);
    const extraBytes = directory.readUInt16LE(at + 30);
    const commentBytes = directory.readUInt16LE(at + 32);
    const nameAt = at + ENTRY.bytes;
    const next = nameAt + nameBytes + extraBytes + commentBytes;
    if (next > directory.length) return;
    const fields = {
      bytes: directory.readUInt32LE(at + 24),
      packedBytes: directory.readUInt32LE(at + 20),
      localOffset: directory.readUInt32LE(at + 42),
    };
    const extra = directory.subarray(nameAt + nameBytes, nameAt + nameBytes + extraBytes);
    yield {
      name: directory.toString("utf8", nameAt, nameAt + nameBytes),
      method: directory.readUInt16LE(at + 10),
      ...withZip64(fields, extra),
    };
    at = next;
  }
}

type Fields = Pick<Entry, "bytes" | "packedBytes" | "localOffset">;

/** The ZIP64 extra field holds the values that do not fit into 32 bits, in this order. */
function withZip64(fields: Fields, extra: Buffer): Fields {
  const found = zip64Extra(extra);
  if (found === null) return fields;
  let at = 0;
  const take = (value: number): number => {
    if (value !== IN_ZIP64 || at + 8 > found.length) return value;
    at += 8;
    return Number(found.readBigUInt64LE(at - 8));
  };
  const bytes = take(fields.bytes);
  const packedBytes = take(fields.packedBytes);
  return { bytes, packedBytes, localOffset: take(fields.localOffset) };
}

function zip64Extra(extra: Buffer): Buffer | null {
  for (let at = 0; at + 4 <= extra.length; ) {
    const bytes = extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === ZIP64_EXTRA) return extra.subarray(at + 4, at + 4 + bytes);
    at += 4 + bytes;
  }
  return null;
}

/** The offset of an entry's contents, after its local header, which has its own name and extra field. */
async function startOf(handle: FileHandle, at: number, fileBytes: number): Promise<number | null> {
  if (!Number.isSafeInteger(at) || at < 0 || at + LOCAL.bytes > fileBytes) return null;
  const local = await readExactly(handle, at, LOCAL.bytes);
  if (local?.readUInt32LE(0) !== LOCAL.signature) return null;
  return at + LOCAL.bytes + local.readUInt16LE(26) + local.readUInt16LE(28);
}

async function readExactly(
  handle: FileHandle,
  position: number,
  byteLength: number,
): Promise<Buffer | null> {
  if (!Number.isSafeInteger(position) || position < 0) return null;
  const bytes = Buffer.alloc(byteLength);
  const { bytesRead } = await handle.read(bytes, 0, byteLength, position);
  return bytesRead === byteLength ? bytes : null;
}
