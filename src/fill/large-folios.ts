import type { Shim } from "../../shims/index.ts";
import { PMD_BYTES } from "../arena/layout.ts";
import type { FileSource } from "../file/open-file.ts";

const FOLIO = BigInt(PMD_BYTES);

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
 * Whether the last 2 MiB of a filled batch are one large folio in the page cache. This follows neither
 * from the kernel's version nor from the file system's type, so the folio is mapped once more and the
 * faults of that are counted: small pages take one for each 64 KiB (fault-around), a large folio takes
 * one. The batch's own mapping is not changed, since it may hold a caller's stores.
 *
 * @returns `null` where it cannot be measured: no whole folio in the batch, no populate, or the file
 *   shrank meanwhile
 */
export function inLargeFolio(shim: Shim, batch: MappedRange): boolean | null {
  const offset = lastFolio(batch);
  if (offset === null) return null;
  const faults = shim.faultsOfNewMapping(batch.file.fd, offset, PMD_BYTES);
  return faults === null ? null : faults <= MOST_FAULTS;
}

/**
 * Whether no page of the last whole folio of a batch is cached, so that filling it will show which folios
 * this sweep makes. Pages that are cached already, such as a header that was just parsed, lie in the
 * folios that their reader got. False where residency is unknown.
 */
export function lastFolioIsCold(shim: Shim, batch: MappedRange): boolean {
  const offset = lastFolio(batch);
  return offset !== null && shim.residentBytes(batch.file, offset, PMD_BYTES) === 0;
}

/** File offset of the last whole folio of a batch; `null` when there is none. */
export function lastFolio({ address, byteLength, fileOffset }: MappedRange): number | null {
  const folio = ((address + BigInt(byteLength)) / FOLIO) * FOLIO - FOLIO;
  return folio < address ? null : fileOffset + Number(folio - address);
}
