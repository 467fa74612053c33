import type { AddressRange, Shim, View } from "../../shims/index.ts";
import type { FileSource } from "../file/open-file.ts";
import { type Layout, locate } from "./layout.ts";

/** Mappings of the extents at addresses that the system chose, outside WebAssembly memory. */
export interface Views {
  /** The address of each extent of the layout. */
  readonly addresses: readonly bigint[];
  /**
   * Resident bytes of each file's part of the layout, as these views show them: such a system does not
   * report the residency of a file.
   */
  residentBytes(): Promise<(number | null)[]>;
  close(): void;
}

/** @throws {@link SystemError}, with nothing left mapped */
export function openViews(layout: Layout, files: readonly FileSource[], shim: Shim): Views {
  const open: View[] = [];
  const close = () => {
    for (const view of open.splice(0)) view.close();
  };
  try {
    for (const { file, offset, byteLength } of layout.extents) {
      const { fd = -1, byteLength: fileBytes = 0 } = files[file] ?? {};
      // An extent is whole pages; a view cannot reach past the end of the file.
      const view = shim.openView(fd, offset, Math.min(byteLength, fileBytes - offset));
      if (view === null) throw new Error(`the ${shim.name} shim has no views`);
      open.push(view);
    }
  } catch (error) {
    close();
    throw error;
  }
  const addresses = open.map((view) => view.address);
  return {
    addresses,
    async residentBytes() {
      const byFile = files.map((): AddressRange[] => []);
      for (const { offset, byteLength } of layout.ranges) {
        const { extent, fileOffset } = locate(layout.extents, offset);
        const start = addresses[layout.extents.indexOf(extent)] ?? 0n;
        const address = start + BigInt(fileOffset - extent.offset);
        byFile[extent.file]?.push({ address, byteLength });
      }
      const counts: (number | null)[] = [];
      // All ranges of a file at once: the shim lets the event loop run between them.
      for (const ranges of byFile) counts.push(await shim.residentBytesAt(ranges));
      return counts;
    },
    close,
  };
}
