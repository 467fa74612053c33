import assert from "node:assert/strict";
import { existsSync, linkSync, mkdirSync, readFileSync, symlinkSync, truncateSync } from "node:fs";
import { join, relative } from "node:path";
import { fileIdentity, openFile } from "../../src/files.ts";
import type { Case } from "./case.ts";
import {
  CONTENT,
  FILE_BYTES,
  refuses,
  type Subject,
  wholePages,
  withFile,
  withFileAsync,
  withMapped,
} from "./subject.ts";

/** What a shim knows: of the page cache, of files, of memory. */
export const knowledgeCases: readonly Case<Subject>[] = [
  {
    name: "counts a file that was just read as resident, or says that it does not know",
    run: (subject) =>
      withFile(subject, "residency", (fd, path) => {
        const { shim } = subject;
        readFileSync(path);
        const resident = shim.residentBytes(fd, 0, wholePages(shim));
        const map = shim.residencyMap(fd, 0, wholePages(shim));
        assert.equal(map === null, resident === null);
        if (resident === null) return;
        assert.equal(resident, wholePages(shim));
        assert.equal(map?.length, wholePages(shim) / shim.pageBytes);
        assert.ok(map?.every((page) => page === 1));
        const half = shim.residentBytes(fd, shim.pageBytes, shim.pageBytes);
        assert.equal(half, shim.pageBytes);
      }),
  },
  {
    name: "counts nothing in an empty range",
    run: (subject) =>
      withFile(subject, "empty", (fd) => {
        const resident = subject.shim.residentBytes(fd, 0, 0);
        assert.ok(resident === 0 || resident === null);
      }),
  },
  {
    name: "evicts a file, or refuses",
    run: async (subject) => {
      const { shim, folder } = subject;
      withFile(subject, "evict", (fd) => {
        if (!shim.canEvict) refuses(() => shim.evict(fd, 0, wholePages(shim)));
      });
      if (!shim.canEvict) return;
      const file = await openFile(join(folder, "evict"));
      try {
        await file.handle.datasync();
        shim.evict(file.fd, 0, wholePages(shim));
        const left = shim.residentBytes(file.fd, 0, wholePages(shim));
        assert.ok(left === 0 || left === null, `${left} bytes are left`);
        assert.ok(readFileSync(file.path).equals(CONTENT));
      } finally {
        await file.handle.close();
      }
    },
  },
  {
    name: "knows a file under all its names",
    run: async (subject) => {
      const path = withFile(subject, "identity", (_fd, written) => written);
      const other = withFile(subject, "other", (_fd, written) => written);
      const hard = join(subject.folder, "hard-link");
      linkSync(path, hard);
      const names = [path, hard, relative(process.cwd(), path)];
      const symbolic = join(subject.folder, "symbolic-link");
      try {
        symlinkSync(path, symbolic);
      } catch {
        // Windows lets few programs make symbolic links; Wine makes ones that lead nowhere.
      }
      if (existsSync(symbolic)) names.push(symbolic);
      const identities = new Set<string>();
      for (const name of names) {
        const { identity, handle } = await openFile(name);
        await handle.close();
        identities.add(identity).add(await fileIdentity(name));
      }
      assert.equal(identities.size, 1);
      assert.ok(!identities.has(await fileIdentity(other)));
    },
  },
  {
    name: "works on long names, with spaces and letters of any script",
    run: async (subject) => {
      const folder = join(
        subject.folder,
        "ein größerer Ordner",
        ..."abc".repeat(2),
        "模型".repeat(30),
      );
      const deep = join(folder, "x".repeat(180));
      mkdirSync(deep, { recursive: true });
      withFile({ ...subject, folder: deep }, "вес 0.gguf", (fd, path) => {
        assert.ok(path.length > 260, "longer than Windows's MAX_PATH");
        const { shim } = subject;
        shim.residentBytes(fd, 0, wholePages(shim));
        if (shim.canPopulate) {
          withMapped(shim, fd, (address) => shim.populate(address, wholePages(shim)));
        }
      });
      const { byteLength, handle } = await openFile(join(deep, "вес 0.gguf"));
      await handle.close();
      assert.equal(byteLength, FILE_BYTES);
    },
  },
  {
    name: "counts faults, which never become fewer",
    run({ shim }) {
      const before = shim.faults();
      new Uint8Array(8 * 1024 ** 2).fill(1);
      const after = shim.faults();
      assert.ok(before.minor >= 0 && before.major >= 0);
      assert.ok(after.minor >= before.minor && after.major >= before.major);
    },
  },
  {
    name: "holds a file still, or has no fence",
    run: (subject) =>
      withFile(subject, "fence", (fd) => {
        const fence = subject.shim.openFence(fd);
        if (fence?.hold()) fence.release();
        fence?.close();
      }),
  },
  {
    name: "holds a file still by viewing it",
    run: (subject) =>
      withFile(subject, "viewed", (fd, path) => {
        const view = subject.shim.openView(fd, 0, FILE_BYTES);
        if (view === null) return;
        try {
          assert.throws(() => truncateSync(path, 1), "ERROR_USER_MAPPED_FILE");
        } finally {
          view.close();
        }
      }),
  },
  {
    name: "says of memory what can be, or nothing",
    run({ shim }) {
      const memory = shim.memory();
      if (memory === null) return;
      assert.ok(memory.totalBytes > 64 * 1024 ** 2);
      assert.ok(memory.availableBytes > 0 && memory.availableBytes <= memory.totalBytes);
    },
  },
  {
    name: "finds the mappings of a file, or says that it cannot",
    run: (subject) =>
      withFileAsync(subject, "found", async (fd, path) => {
        const { shim } = subject;
        assert.deepEqual((await shim.findMappings(path)) ?? [], []);
        if ((await shim.findMappings(path)) === null) return;
        const memory = new WebAssembly.Memory({ initial: 80, maximum: 80, shared: true });
        const address = shim.addressOf(memory.buffer as unknown as SharedArrayBuffer);
        shim.place(address, wholePages(shim), fd, 0);
        const found = await shim.findMappings(path);
        assert.ok(await shim.tellsResidencyAt([{ address, byteLength: wholePages(shim) }]));
        shim.restore(address, wholePages(shim));
        assert.ok(found?.some((mapping) => mapping.address === address));
        assert.deepEqual(await shim.findMappings(path), []);
      }),
  },
];
