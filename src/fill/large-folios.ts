import type { Shim } from "../../shims/index.ts";
import { PMD_BYTES } from "../arena/layout.ts";
import type { FileSource } from "../file/open-file.ts";
import type { Range } from "../plan/range.ts";

const FOLIO = BigInt(PMD_BYTES);

/** Of an entry of a page table. */
const ENTRY_BYTES = 8;

/** A large folio takes one or two faults, small pages take 32. */
const MOST_FAULTS = 8;

/** A filled batch of a mapping; the file offset agrees with the address modulo a folio. */
export interface MappedRange {
  readonly address: bigint;
  readonly byteLength: number;
  readonly file: FileSource;
  /** Bytes from the start of the file. */
  readonly fileOffset: number;
}

/**
 * What a fault maps at once of a large folio: as much as a page full of page table entries does. 2 MiB with pages
 * of 4 KiB, and 32 MiB with those of 16 KiB, as on arm64.
 */
const largePageBytes = ({ pageBytes }: Shim) => (pageBytes / ENTRY_BYTES) * pageBytes;

/**
 * Whether the end of a filled batch lies in a large folio in the page cache. This follows neither
 * from the kernel's version nor from the file system's type, so the folio is mapped once more and the
 * faults of that are counted: small pages take one for each 64 KiB (fault-around), a large folio takes
 * one. The batch's own mapping is not changed, since it may hold a caller's stores.
 *
 * @returns `null` where it cannot be measured: no whole folio there, no populate, or the file shrank meanwhile
 */
export function inLargeFolio(shim: Shim, batch: MappedRange): boolean | null {
  const folio = folioAtEnd(shim, batch);
  if (folio === null) return null;
  const { offset, byteLength } = folio;
  // Larger than the batch, it is there by the kernel's doing, or else the count would read the rest.
  if (byteLength > PMD_BYTES && shim.residentBytes(batch.file, offset, byteLength) !== byteLength) {
    return null;
  }
  const faults = shim.faultsOfNewMapping(batch.file.fd, offset, byteLength);
  return faults === null ? null : faults <= MOST_FAULTS;
}

/**
 * Whether no page of the folio at the end of a batch is cached, so that filling it will show which folios
 * this sweep makes. Pages that are cached already, such as a header that was just parsed, lie in the
 * folios that their reader got. False where residency is unknown.
 */
export function lastFolioIsCold(shim: Shim, batch: MappedRange): boolean {
  const folio = folioAtEnd(shim, batch);
  return folio !== null && shim.residentBytes(batch.file, folio.offset, folio.byteLength) === 0;
}

/** The last whole folio of a batch; of those that are larger than a batch may be, the one that it ends in. */
function folioAtEnd(shim: Shim, batch: MappedRange): Range | null {
  const byteLength = largePageBytes(shim);
  if (byteLength <= PMD_BYTES) {
    const offset = lastFolio(batch);
    return offset === null ? null : { offset, byteLength: PMD_BYTES };
  }
  const last = batch.fileOffset + batch.byteLength - 1;
  const offset = last - (last % byteLength);
  return offset + byteLength > batch.file.byteLength ? null : { offset, byteLength };
}

/** File offset of the last whole 2 MiB of a batch; `null` when there is none. */
export function lastFolio({ address, byteLength, fileOffset }: MappedRange): number | null {
  const folio = ((address + BigInt(byteLength)) / FOLIO) * FOLIO - FOLIO;
  return folio < address ? null : fileOffset + Number(folio - address);
}
