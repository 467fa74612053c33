import assert from "node:assert/strict";
import { chownSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { cli } from "./cli.ts";
import type { GuestCase } from "./guest.ts";
import { hasCachestat, pageBytes } from "./raw.ts";
import { disk, judgedBytes, MIB, makeCold, run, writeFile } from "./system.ts";

/** What the command itself reads, to find out what kind of file it is, and what is read ahead of that. */
const HEADER_BYTES = MIB;

/** What the kernel is, asked without the package, and what it lets be known. */
export const kernelCases: readonly GuestCase[] = [
  {
    name: "is the kernel, the processor and the page size it is booted for",
    async run({ kernel }) {
      assert.ok(release().startsWith(kernel.release), release());
      assert.equal(pageBytes, kernel.pageBytes);
      assert.equal(process.arch, kernel.arch === "amd64" ? "x64" : kernel.arch);
      assert.equal(hasCachestat(), kernel.cachestat);
      const { version } = JSON.parse(
        readFileSync("/app/node_modules/prefault/package.json", "utf8"),
      );
      return { release: release(), node: process.version, prefault: version, pageBytes };
    },
  },
  {
    name: "counts half a file as half of it",
    async run({ prefault: { prefault, residency } }) {
      const path = writeFile(join(disk("ext4"), "half"), 16 * MIB);
      makeCold(path);
      assert.equal((await residency([{ path }])).residentBytes, 0);
      await prefault([{ path, byteLength: 8 * MIB }], { log() {}, strategy: "read" });
      const { residentBytes } = await residency([{ path }]);
      assert.equal(residentBytes, judgedBytes(path));
      assert.ok((residentBytes ?? 0) >= 8 * MIB);
      return { residentBytes };
    },
  },
  {
    // `mincore` calls everything resident to such a user, and `cachestat` says EPERM or the truth.
    name: "tells a user who may not write a cold file the truth, or that it cannot tell",
    async run() {
      const path = writeFile(join(disk("ext4"), "foreign"), 16 * MIB);
      makeCold(path);
      const nobody = { uid: 65_534 };
      const [cold] = JSON.parse((await cli(["status", path, "--json"], nobody)).stdout).files;
      assert.ok(
        cold.residentBytes === null || cold.residentBytes <= HEADER_BYTES,
        JSON.stringify(cold),
      );
      chownSync(path, nobody.uid, nobody.uid);
      const [own] = JSON.parse((await cli(["status", path, "--json"], nobody)).stdout).files;
      assert.ok(own.residentBytes !== null && own.residentBytes <= HEADER_BYTES);
      return { foreign: cold.residentBytes };
    },
  },
];

/** The last one: whatever went before must not have shaken the kernel. */
export const lastCase: GuestCase = {
  name: "leaves nothing in the kernel's log that tells of a fault in it",
  async run() {
    const faults = run("dmesg")
      .split("\n")
      .filter((line) => FAULT.test(line));
    assert.deepEqual(faults, []);
  },
};

const FAULT =
  /BUG:|Oops|WARNING:|general protection|blocked for more than|soft lockup|Out of memory/;
