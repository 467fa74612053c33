import type { Shim } from "../../shims/index.ts";
import { PMD_BYTES } from "../arena/layout.ts";
import type { FileSource } from "../file/open-file.ts";

const FOLIO = BigInt(PMD_BYTES);

/** Between the one or two faults of a large folio and the 32 of small pages. */
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
 * Whether the page cache holds the last whole folio of a filled batch as one. Neither the kernel's
 * version nor the file system's name tells, so the folio is mapped once more, and the faults that
 * takes are counted: small pages take one for each 64 KiB (fault-around), a large folio takes one.
 * The batch's own mapping is left alone: somebody may have stored in it.
 *
 * @returns `null` where it cannot be told: no whole folio in the batch, no populate, or the file
 *   shrank meanwhile
 */
export function inLargeFolio(shim: Shim, batch: MappedRange): boolean | null {
  const offset = lastFolio(batch);
  if (offset === null) return null;
  const faults = shim.faultsOfNewMapping(batch.file.fd, offset, PMD_BYTES);
  return faults === null ? null : faults <= MOST_FAULTS;
}

/**
 * Whether the last whole folio of a batch is still on the device, so that filling it will show how
 * this sweep fills. What is cached already, such as a header that was just parsed, lies in whatever
 * folios its reader got. Not where the system does not tell what is cached.
 */
export function lastFolioIsCold(shim: Shim, batch: MappedRange): boolean {
  const offset = lastFolio(batch);
  return offset !== null && shim.residentBytes(batch.file, offset, PMD_BYTES) === 0;
}

/** Where in the file the last whole folio of a batch begins; `null` when there is none. */
export function lastFolio({ address, byteLength, fileOffset }: MappedRange): number | null {
  const folio = ((address + BigInt(byteLength)) / FOLIO) * FOLIO - FOLIO;
  return folio < address ? null : fileOffset + Number(folio - address);
}
