import type { Shim, View } from "../../shims/index.ts";
import type { FileSource } from "../files.ts";
import { type Layout, locate } from "./layout.ts";

/** Windows mapped where the system likes, outside WebAssembly memory. */
export interface Views {
  /** Of each window of the layout. */
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
    for (const { file, offset, byteLength } of layout.windows) {
      const { fd = -1, byteLength: fileBytes = 0 } = files[file] ?? {};
      // A window is whole pages. Past the end of the file there is nothing a view could show.
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
      for (const piece of layout.pieces) {
        const { window, fileOffset } = locate(layout.windows, piece.offset);
        const start = addresses[layout.windows.indexOf(window)] ?? 0n;
        const address = start + BigInt(fileOffset - window.offset);
        const { byteLength } = piece;
        const resident = await shim.residentBytesAt([{ address, byteLength }]);
        const known = counts[window.file] ?? null;
        counts[window.file] = known === null || resident === null ? null : known + resident;
      }
      return counts;
    },
    close,
  };
}
