/** Zip archives byte by byte, so that they can be laid out as a llamafile is. Little-endian. */

/** A file of an archive. */
export interface Entry {
  readonly name: string;
  readonly data: Buffer;
  /** 0 stored, 8 deflated. @defaultValue `0` */
  readonly method?: number;
  /** Bytes of the local header's extra field: llamafile aligns by it. @defaultValue `0` */
  readonly padding?: number;
}

const u16 = (value: number) => Buffer.from(Uint16Array.of(value).buffer);
const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);

/** A zip archive behind other bytes, with absolute offsets, as llamafile has it. */
export function archive(
  entries: readonly Entry[],
  { prefix = Buffer.alloc(0), zip64 = false, relative = false, comment = "" } = {},
): Buffer {
  const parts: Buffer[] = [prefix];
  const at = () => parts.reduce((sum, part) => sum + part.length, 0);
  const directory: Buffer[] = [];
  const from = relative ? prefix.length : 0;
  for (const { name, data, method = 0, padding = 0 } of entries) {
    const offset = at() - from;
    const sizes = zip64 ? [u32(0xffffffff), u32(0xffffffff)] : [u32(data.length), u32(data.length)];
    const names = [u16(name.length), u16(padding), Buffer.from(name), Buffer.alloc(padding)];
    parts.push(
      u32(0x04034b50),
      u16(45),
      u16(0),
      u16(method),
      u32(0),
      u32(0),
      ...sizes,
      ...names,
      data,
    );
    const extra = zip64
      ? Buffer.concat([u16(1), u16(24), u64(data.length), u64(data.length), u64(offset)])
      : Buffer.alloc(0);
    directory.push(
      u32(0x02014b50),
      u16(45),
      u16(45),
      u16(0),
      u16(method),
      u32(0),
      u32(0),
      ...sizes,
      u16(name.length),
      u16(extra.length),
      u16(0),
      u16(0),
      u16(0),
      u32(0),
      u32(zip64 ? 0xffffffff : offset),
      Buffer.from(name),
      extra,
    );
  }
  const start = at() - from;
  const bytes = Buffer.concat(directory);
  parts.push(bytes);
  if (zip64) {
    const end = at() - from;
    parts.push(
      u32(0x06064b50),
      u64(44),
      u16(45),
      u16(45),
      u32(0),
      u32(0),
      u64(entries.length),
      u64(entries.length),
      u64(bytes.length),
      u64(start),
    );
    parts.push(u32(0x07064b50), u32(0), u64(end), u32(1));
  }
  const [size, offset] = zip64 ? [0xffffffff, 0xffffffff] : [bytes.length, start];
  const count = u16(entries.length);
  parts.push(u32(0x06054b50), u16(0), u16(0), count, count, u32(size), u32(offset));
  parts.push(u16(comment.length), Buffer.from(comment));
  return Buffer.concat(parts);
}
