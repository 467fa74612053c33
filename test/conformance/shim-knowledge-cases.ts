import assert from "node:assert/strict";
import { existsSync, linkSync, mkdirSync, readFileSync, symlinkSync, truncateSync } from "node:fs";
import { join, relative } from "node:path";
import { describeOpenFile, fileIdentity, openFile } from "../../src/file/open-file.ts";
import type { Case } from "./case.ts";
import {
  CONTENT,
  FILE_BYTES,
  type Subject,
  undescribed,
  wholePages,
  withFile,
  withMapped,
} from "./subject.ts";

/** What a shim knows: of the page cache, of files, of memory. */
export const knowledgeCases: readonly Case<Subject>[] = [
  {
    name: "counts a file that was just read as resident, or says that it does not know",
    run: (subject) =>
      withFile(subject, "residency", async (fd, path) => {
        const { shim } = subject;
        readFileSync(path);
        const file = undescribed(fd, path);
        const resident = shim.residentBytes(file, 0, wholePages(shim));
        assert.equal(await shim.residentBytesInBackground(file, 0, wholePages(shim)), resident);
        if (resident === null) return;
        assert.equal(resident, wholePages(shim));
        assert.equal(shim.residentBytes(file, shim.pageBytes, shim.pageBytes), shim.pageBytes);
      }),
  },
  {
    name: "says of an open file what is known, as plain data",
    run: async (subject) => {
      const path = await withFile(subject, "facts", (_fd, written) => written);
      const file = await describeOpenFile(await openFile(path), subject.shim);
      try {
        assert.deepEqual(structuredClone(file.facts), file.facts);
        assert.ok(file.facts.readAheadBytes === null || file.facts.readAheadBytes >= 0);
      } finally {
        await file.handle.close();
      }
    },
  },
  {
    name: "counts nothing in an empty range",
    run: (subject) =>
      withFile(subject, "empty", (fd, path) => {
        const resident = subject.shim.residentBytes(undescribed(fd, path), 0, 0);
        assert.ok(resident === 0 || resident === null);
      }),
  },
  {
    name: "evicts a file, or refuses",
    run: async (subject) => {
      const { shim, folder } = subject;
      await withFile(subject, "evict", async (fd) => {
        if (shim.canEvict) return;
        await assert.rejects(shim.evict(fd, 0, wholePages(shim)), { errno: "ENOTSUP" });
      });
      if (!shim.canEvict) return;
      const file = await openFile(join(folder, "evict"));
      try {
        await file.handle.datasync();
        await shim.evict(file.fd, 0, wholePages(shim));
        const left = shim.residentBytes(undescribed(file.fd, file.path), 0, wholePages(shim));
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
      const path = await withFile(subject, "identity", (_fd, written) => written);
      const other = await withFile(subject, "other", (_fd, written) => written);
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
      await withFile({ ...subject, folder: deep }, "вес 0.gguf", async (fd, path) => {
        assert.ok(path.length > 260, "longer than Windows's MAX_PATH");
        const { shim } = subject;
        shim.residentBytes(undescribed(fd, path), 0, wholePages(shim));
        if (shim.canPopulate) {
          await withMapped(shim, fd, (address) => shim.populate(address, wholePages(shim)));
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
    name: "holds a file still, or has no lease",
    run: (subject) =>
      withFile(subject, "lease", (fd, path) => {
        const lease = subject.shim.openLease(undescribed(fd, path));
        if (lease?.hold()) lease.release();
        lease?.close();
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
      withFile(subject, "found", async (fd, path) => {
        const { shim } = subject;
        if ((await shim.findMappings(path)) === null) return;
        await withMapped(shim, fd, async (address) => {
          const found = await shim.findMappings(path);
          assert.ok(found?.some((each) => each.address === address));
        });
        assert.deepEqual(await shim.findMappings(path), []);
      }),
  },
];
