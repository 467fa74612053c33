import type { Shim, View } from "../../shims/index.ts";
import type { FileSource } from "../file/open-file.ts";
import { type Layout, locate } from "./layout.ts";

/** Windows mapped where the system likes, outside WebAssembly memory. */
export interface Views {
  /** Of each extent of the layout. */
  readonly addresses: readonly bigint[];
  /**
   * Bytes of each file's part of the layout that are in memory, as these views show it: such a
   * system says nothing of a file as such.
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
      // A extent is whole pages. Past the end of the file there is nothing a view could show.
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
      const counts: (number | null)[] = files.map(() => 0);
      for (const piece of layout.ranges) {
        const { extent, fileOffset } = locate(layout.extents, piece.offset);
        const start = addresses[layout.extents.indexOf(extent)] ?? 0n;
        const address = start + BigInt(fileOffset - extent.offset);
        const { byteLength } = piece;
        const resident = await shim.residentBytesAt([{ address, byteLength }]);
        const known = counts[extent.file] ?? null;
        counts[extent.file] = known === null || resident === null ? null : known + resident;
      }
      return counts;
    },
    close,
  };
}
