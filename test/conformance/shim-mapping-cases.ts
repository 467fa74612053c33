import assert from "node:assert/strict";
import { readFileSync, rmSync, truncateSync } from "node:fs";
import { bindKernels } from "../../src/kernels/kernels.ts";
import type { Case } from "./case.ts";
import {
  CONTENT,
  FILE_BYTES,
  fails,
  refuses,
  type Subject,
  wholePages,
  withFile,
  withMapped,
  withPlaced,
} from "./subject.ts";

/** Below what any of these systems lets a program map. */
const UNMAPPED = 0x1000n;

/** Open in no process. */
const NO_DESCRIPTOR = 4321;

/** Mapping, hinting and filling. */
export const mappingCases: readonly Case<Subject>[] = [
  {
    name: "has a page size WebAssembly memory is a multiple of",
    run({ shim: { pageBytes } }) {
      assert.equal(65_536 % pageBytes, 0);
      assert.ok(pageBytes >= 4096);
    },
  },
  {
    name: "places a file in WebAssembly memory, or refuses",
    run: (subject) =>
      withFile(subject, "place", async (fd) => {
        const { shim } = subject;
        if (!shim.canPlace) return void refuses(() => shim.place(65_536n, 65_536, fd, 0));
        await withPlaced(shim, fd, ({ buffer }, start) => {
          assert.ok(Buffer.from(buffer, start, FILE_BYTES).equals(CONTENT));
        });
      }),
  },
  {
    name: "keeps a stray store out of the file",
    run: (subject) =>
      withFile(subject, "store", async (fd, path) => {
        if (!subject.shim.canPlace) return;
        await withPlaced(subject.shim, fd, ({ buffer }, start) => {
          new Uint8Array(buffer, start, FILE_BYTES).fill(0);
        });
        assert.ok(readFileSync(path).equals(CONTENT));
      }),
  },
  {
    name: "restores ordinary zeros, or refuses",
    run: (subject) =>
      withFile(subject, "restore", async (fd) => {
        const { shim } = subject;
        if (!shim.canPlace) return void refuses(() => shim.restore(65_536n, 65_536));
        const memory = await withPlaced(shim, fd, (placed) => placed);
        const bytes = new Uint8Array(memory.buffer);
        assert.equal(
          bytes.findIndex((byte) => byte !== 0),
          -1,
        );
        bytes.fill(1);
      }),
  },
  {
    name: "views a file where it cannot place it, and only there",
    run: (subject) =>
      withFile(subject, "view", (fd) => {
        const { shim } = subject;
        const view = shim.openView(fd, 65_536, FILE_BYTES - 65_536);
        assert.equal(view !== null, !shim.canPlace && shim.canPopulate);
        assert.notEqual(view?.address, 0n);
        view?.close();
      }),
  },
  {
    name: "says why it cannot map",
    run: (subject) =>
      withFile(subject, "errors", (fd) => {
        const { shim } = subject;
        if (shim.canPlace) {
          const { buffer } = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true });
          const at = shim.addressOf(buffer as unknown as SharedArrayBuffer) + 65_536n;
          fails(() => shim.place(at, 65_536, NO_DESCRIPTOR, 0), /^EBADF$/);
          fails(() => shim.place(at, 65_536, fd, 1), /^EINVAL$/);
        } else if (shim.canPopulate) {
          fails(() => shim.openView(NO_DESCRIPTOR, 0, 65_536), /^EBADF$/);
          fails(() => shim.openView(fd, 1, 65_536), /^ERROR_MAPPED_ALIGNMENT$/);
          fails(() => shim.openView(fd, 0, 2 * FILE_BYTES), /./);
        }
      }),
  },
  {
    name: "lets a file go when nothing of it is mapped any more",
    run: async (subject) => {
      const path = await withFile(subject, "let-go", async (fd, opened) => {
        if (subject.shim.canPopulate) await withMapped(subject.shim, fd, () => {});
        return opened;
      });
      // Windows refuses both while a view is open or a handle is left.
      truncateSync(path, 1);
      rmSync(path);
    },
  },
  {
    name: "takes every hint without failing",
    run: (subject) =>
      withFile(subject, "hints", async (fd) => {
        const { shim } = subject;
        for (const advice of ["will-need", "huge-pages", "random", "normal"] as const) {
          assert.equal(typeof shim.advise(UNMAPPED, 65_536, advice), "boolean");
        }
        assert.equal(shim.zapPageTables(UNMAPPED, 65_536), false);
        const chunk = { fd, offset: 65_536, byteLength: 65_536, address: 0n };
        assert.equal(typeof shim.prefetch([]), "boolean");
        assert.equal(typeof shim.prefetch([chunk, { ...chunk, offset: 0 }]), "boolean");
        assert.equal(shim.prefetch([{ ...chunk, offset: 2 * FILE_BYTES }]), false);
        if (!shim.canPopulate) return;
        await withMapped(shim, fd, (address) => {
          assert.equal(shim.advise(address, wholePages(shim), "will-need"), true);
          assert.equal(typeof shim.prefetch([{ ...chunk, address }]), "boolean");
        });
      }),
  },
  {
    name: "populates every page of a mapping, or refuses",
    run: (subject) =>
      withFile(subject, "populate", async (fd) => {
        const { shim } = subject;
        if (!shim.canPopulate) return void refuses(() => shim.populate(65_536n, 65_536));
        await withMapped(shim, fd, async (address) => {
          const byteLength = wholePages(shim);
          shim.populate(address, byteLength);
          assert.equal(await shim.residentBytesAt([{ address, byteLength }]), byteLength);
        });
      }),
  },
  {
    name: "fails to populate what is not mapped, and lives",
    run({ shim }) {
      if (shim.canPopulate) fails(() => shim.populate(UNMAPPED, shim.pageBytes), /^E/);
    },
  },
  {
    name: "lets the kernel touch every page that is placed",
    run: (subject) =>
      withFile(subject, "touch", async (fd) => {
        const { shim } = subject;
        if (!shim.canPlace) return;
        await withPlaced(shim, fd, async (memory, start, address) => {
          const byteLength = wholePages(shim);
          bindKernels(memory).touch_pages(start, byteLength, shim.pageBytes);
          assert.equal(await shim.residentBytesAt([{ address, byteLength }]), byteLength);
        });
      }),
  },
];
