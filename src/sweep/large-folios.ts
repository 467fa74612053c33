import type { Shim } from "../../shims/index.ts";
import { FOLIO_BYTES } from "../arena/layout.ts";

const FOLIO = BigInt(FOLIO_BYTES);

/** Between the one or two faults of a large folio and the 32 of small pages. */
const MOST_FAULTS = 8;

/** A filled window of a mapping; the file offset agrees with the address modulo a folio. */
export interface FilledWindow {
  readonly address: bigint;
  readonly byteLength: number;
  readonly fd: number;
  /** Bytes from the start of the file. */
  readonly fileOffset: number;
}

/**
 * Whether the page cache holds the last whole folio of a filled window as one, found out by result:
 * neither the kernel's version nor the file system's name tells. Its page tables are dropped and
 * filled again, and the faults that takes are counted: small pages take one for each 64 KiB
 * (fault-around), a large folio takes one.
 *
 * @returns `null` where it cannot be told: no whole folio in the window, no populate, or the file
 *   shrank meanwhile
 */
export function inLargeFolio(shim: Shim, window: FilledWindow): boolean | null {
  const folio = lastFolio(window);
  if (folio === null || !shim.canPopulate) return null;
  if (!shim.advise(folio, FOLIO_BYTES, "drop-tables")) return null;
  const before = shim.faults().minor;
  try {
    shim.populate(folio, FOLIO_BYTES);
  } catch {
    return null;
  }
  return shim.faults().minor - before <= MOST_FAULTS;
}

/**
 * Whether the last whole folio of a window is still on the device, so that filling it will show how
 * this sweep fills. What is cached already, such as a header that was just parsed, lies in whatever
 * folios its reader got.
 */
export function lastFolioIsCold(shim: Shim, window: FilledWindow): boolean {
  const folio = lastFolio(window);
  if (folio === null) return false;
  const offset = window.fileOffset + Number(folio - window.address);
  return shim.residentBytes(window.fd, offset, FOLIO_BYTES) === 0;
}

/** Where the last whole folio of a window lies; `null` when there is none. */
export function lastFolio({ address, byteLength }: FilledWindow): bigint | null {
  const folio = ((address + BigInt(byteLength)) / FOLIO) * FOLIO - FOLIO;
  return folio < address ? null : folio;
}
