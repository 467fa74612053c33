import { setImmediate as turn } from "node:timers/promises";
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

/** Asking about this much takes a few milliseconds; the event loop turns in between. */
const STEP_BYTES = 64 * 1024 ** 2;

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
        for (let done = 0; done < piece.byteLength; done += STEP_BYTES) {
          const step = Math.min(STEP_BYTES, piece.byteLength - done);
          const resident = shim.residentBytesAt(address + BigInt(done), step);
          const known = counts[window.file] ?? null;
          counts[window.file] = known === null || resident === null ? null : known + resident;
          await turn();
        }
      }
      return counts;
    },
    close,
  };
}
