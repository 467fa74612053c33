import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { release } from "node:os";
import koffi from "koffi";
import type { GuestCase } from "./guest.ts";

const libc = koffi.load(null);

/** What the kernel is, asked without the package. */
export const kernelCases: readonly GuestCase[] = [
  {
    name: "is the kernel, the processor and the page size it is booted for",
    async run({ kernel }) {
      const pageBytes = libc.func("int getpagesize()")();
      assert.ok(release().startsWith(kernel.release), release());
      assert.equal(pageBytes, kernel.pageBytes);
      assert.equal(process.arch, kernel.arch === "amd64" ? "x64" : kernel.arch);
      const { version } = JSON.parse(
        readFileSync("/app/node_modules/prefault/package.json", "utf8"),
      );
      return { release: release(), node: process.version, prefault: version, pageBytes };
    },
  },
  {
    name: "has cachestat, or has it not",
    async run({ kernel }) {
      const syscall = libc.func("long syscall(long n, int fd, void *a, void *b, unsigned int c)");
      const answer = syscall(451, -1, null, null, 0);
      assert.equal(answer, -1);
      const errno = koffi.errno();
      assert.equal(errno !== koffi.os.errno["ENOSYS"], kernel.cachestat);
      return { errno };
    },
  },
];
