import type { Shim } from "../../shims/index.ts";
import { FOLIO_BYTES } from "../arena/layout.ts";
import type { FileSource } from "../files.ts";

const FOLIO = BigInt(FOLIO_BYTES);

/** Between the one or two faults of a large folio and the 32 of small pages. */
const MOST_FAULTS = 8;

/** A filled window of a mapping; the file offset agrees with the address modulo a folio. */
export interface FilledWindow {
  readonly address: bigint;
  readonly byteLength: number;
  readonly file: FileSource;
  /** Bytes from the start of the file. */
  readonly fileOffset: number;
}

/**
 * Whether the page cache holds the last whole folio of a filled window as one. Neither the kernel's
 * version nor the file system's name tells, so the folio is mapped once more, and the faults that
 * takes are counted: small pages take one for each 64 KiB (fault-around), a large folio takes one.
 * The window's own mapping is left alone: somebody may have stored in it.
 *
 * @returns `null` where it cannot be told: no whole folio in the window, no populate, or the file
 *   shrank meanwhile
 */
export function inLargeFolio(shim: Shim, window: FilledWindow): boolean | null {
  const offset = lastFolio(window);
  if (offset === null) return null;
  const faults = shim.faultsOfNewMapping(window.file.fd, offset, FOLIO_BYTES);
  return faults === null ? null : faults <= MOST_FAULTS;
}

/**
 * Whether the last whole folio of a window is still on the device, so that filling it will show how
 * this sweep fills. What is cached already, such as a header that was just parsed, lies in whatever
 * folios its reader got. Not where the system does not tell what is cached.
 */
export function lastFolioIsCold(shim: Shim, window: FilledWindow): boolean {
  const offset = lastFolio(window);
  return offset !== null && shim.residentBytes(window.file, offset, FOLIO_BYTES) === 0;
}

/** Where in the file the last whole folio of a window begins; `null` when there is none. */
export function lastFolio({ address, byteLength, fileOffset }: FilledWindow): number | null {
  const folio = ((address + BigInt(byteLength)) / FOLIO) * FOLIO - FOLIO;
  return folio < address ? null : fileOffset + Number(folio - address);
}
