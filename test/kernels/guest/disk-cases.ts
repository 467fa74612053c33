import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { cli } from "./cli.ts";
import { type Guest, type GuestCase, Skip } from "./guest.ts";
import { device, disk, judgedBytes, MIB, makeCold, mappedDisk, run, writeFile } from "./system.ts";

/** Two chunks: more threads than that are of no use, and each takes its time to start here. */
const CHUNK_BYTES = 4 * MIB;
const BYTES = 2 * CHUNK_BYTES;

/** Where files lie, what the system says of the device, and how many workers that is worth. */
export const diskCases: readonly GuestCase[] = [
  {
    name: "fills from a SATA disk that does not rotate by several threads",
    run: (guest) => onSata(guest, "flash", { rotational: 0, workers: "several" }),
  },
  {
    name: "fills from a SATA disk that rotates by one thread",
    run: (guest) => onSata(guest, "platters", { rotational: 1, workers: "one" }),
  },
  {
    name: "fills from a virtual disk by several threads, whatever it says of rotating",
    run: (guest) => fillOn(guest, disk("ext4"), device("ext4"), { workers: "several" }),
  },
  {
    name: "fills from LVM's kind of device over a virtual disk by several threads",
    run: (guest) => {
      const { folder, mapped } = mappedDisk();
      return fillOn(guest, folder, mapped.path, { workers: "several" });
    },
  },
  {
    name: "fills from an image in a loop device on a virtual disk by several threads",
    run: (guest) => fillOn(guest, loopDisk(), "/dev/loop0", { workers: "several" }),
  },
  {
    name: "fills and evicts on a read-only file system",
    async run({ prefault: { prefault, evict } }) {
      const folder = disk("xfs");
      const path = writeFile(join(folder, "read-only"), BYTES);
      run("mount", "-o", "remount,ro", folder);
      try {
        for (const strategy of ["auto", "read"] as const) {
          makeCold(path);
          const report = await prefault([{ path }], { log() {}, strategy });
          assert.equal(report.error, undefined);
          assert.equal(judgedBytes(path), BYTES);
        }
        const { residentBytesAfter } = await evict([{ path }]);
        assert.equal(residentBytesAfter, 0);
        assert.equal(judgedBytes(path), 0);
      } finally {
        run("mount", "-o", "remount,rw", folder);
      }
    },
  },
  {
    name: "fills from memory's own file system without a fault",
    async run({ prefault: { prefault } }) {
      const path = writeFile("/tmp/in-memory", BYTES);
      const report = await prefault([{ path }], { log() {} });
      assert.equal(report.error, undefined);
      return { reason: report.reason, strategy: report.strategy };
    },
  },
];

interface Expected {
  readonly rotational?: 0 | 1;
  readonly workers: "one" | "several";
}

async function onSata(guest: Guest, name: string, expected: Expected): Promise<unknown> {
  if (!existsSync("/sys/bus/pci/drivers/ahci")) throw new Skip("this kernel has no AHCI driver");
  return fillOn(guest, disk(name), device(name), expected);
}

async function fillOn(guest: Guest, folder: string, path: string, expected: Expected) {
  const rotational = rotationalOf(path);
  if (expected.rotational !== undefined) assert.equal(rotational, expected.rotational);
  writeFile(join(folder, "workers"), BYTES);
  return { rotational, ...(await fillAt(guest, join(folder, "workers"), expected)) };
}

async function fillAt({ prefault: { prefault } }: Guest, path: string, expected: Expected) {
  makeCold(path);
  const { error, workers, seconds } = await prefault([{ path }], {
    log() {},
    chunkBytes: CHUNK_BYTES,
  });
  assert.equal(error, undefined);
  assert.equal(judgedBytes(path), BYTES);
  assert.equal(workers === 1 ? "one" : "several", expected.workers, `${workers} threads`);
  return { workers, seconds };
}

function rotationalOf(path: string): number {
  const name = basename(realpathSync(path));
  return Number(readFileSync(`/sys/class/block/${name}/queue/rotational`, "utf8"));
}

/** A file system in a file on the virtual disk. */
function loopDisk(): string {
  const folder = "/mnt/loop";
  if (existsSync(folder)) return folder;
  mkdirSync(folder);
  const image = writeFile(join(disk("ext4"), "image"), 64 * MIB);
  run("mke2fs", "-F", image);
  run("losetup", "/dev/loop0", image);
  run("mount", "-t", "ext4", "/dev/loop0", folder);
  return folder;
}

export const cliCases: readonly GuestCase[] = [
  {
    name: "plan, status, warm and evict agree on a model",
    seconds: 180,
    async run() {
      const path = join(disk("ext4"), "model.gguf");
      run("cp", "/app/model.gguf", path);
      makeCold(path);
      const json = async (command: string, ...flags: string[]) => {
        const { code, stdout, stderr } = await cli([command, path, ...flags, "--json"]);
        assert.equal(code, 0, stderr);
        return JSON.parse(stdout);
      };
      const plan = await json("plan", "--cpu-moe", "-ngl", "99");
      assert.ok(plan.totalBytes > 0 && plan.regions.length > 0);
      assert.ok(plan.regions.some(({ tensor }: { tensor: string }) => /_exps/.test(tensor)));
      const cold = await json("status");
      const report = await json("warm", "--cpu-moe", "-ngl", "99", "--no-progress");
      assert.equal(report.ran, true);
      assert.equal(report.error, undefined);
      const warm = await json("status", "--cpu-moe", "-ngl", "99");
      const missing = warm.tensors.filter(
        (each: { bytes: number; residentBytes: number }) => each.residentBytes < each.bytes,
      );
      assert.deepEqual(missing, []);
      await json("evict");
      assert.equal(judgedBytes(path), 0);
      return { totalBytes: plan.totalBytes, cold: cold.residentBytes, strategy: report.strategy };
    },
  },
];
