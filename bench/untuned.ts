import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Bench } from "./bench.ts";
import { Subjects } from "./subject.ts";

/** What Linux reads ahead on a disk nobody tuned (`VM_READAHEAD_PAGES`, include/linux/mm.h). */
const READ_AHEAD_KIB = 128;

export const UNTUNED = `a disk that nobody tuned: ${READ_AHEAD_KIB} KiB read ahead`;

/** Runs something with its files on such a disk; `null` where there can be none, which it says. */
export async function onUntunedDisk<T>(
  bench: Bench,
  run: (bench: Bench) => Promise<T>,
): Promise<T | null> {
  const { subjects, settings, say } = bench;
  const disk = untunedDisk(subjects.folder, Math.ceil(1.4 * settings.bytes));
  if (disk.missing !== undefined) {
    say(` no ${UNTUNED}: ${disk.missing}`);
    return null;
  }
  try {
    say(` ${UNTUNED}`);
    const own = new Subjects(disk.folder, subjects.memory, settings.dropCaches);
    return await run({ ...bench, subjects: own });
  } finally {
    disk.remove();
  }
}

/** A file system on a disk of its own, with the read-ahead that most disks have. */
type UntunedDisk =
  | { readonly folder: string; readonly missing?: undefined; remove(): void }
  | { readonly missing: string };

/**
 * Makes such a disk out of a file: whatever was set for the machine's own disk stays as it is. The
 * loop device reads the file directly, so that nothing of it is cached twice.
 */
function untunedDisk(parent: string, byteLength: number): UntunedDisk {
  if (process.getuid?.() !== 0) return { missing: "mounting a disk image needs root" };
  const image = join(parent, "untuned.img");
  const folder = join(parent, "untuned");
  let device: string | undefined;
  const remove = () => {
    spawnSync("umount", ["-l", folder]);
    if (device !== undefined) spawnSync("losetup", ["-d", device]);
    rmSync(image, { force: true });
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(image, "");
    truncateSync(image, byteLength);
    run("mkfs.ext4", "-q", "-F", image);
    device = run("losetup", "--find", "--show", "--direct-io=on", image);
    process.once("exit", remove);
    const queue = `/sys/block/${basename(device)}/queue`;
    writeFileSync(`${queue}/read_ahead_kb`, String(READ_AHEAD_KIB));
    // It says of itself what the disk below says, which need not be so for what is made of it.
    writeFileSync(`${queue}/rotational`, "0");
    run("mount", device, folder);
    const set = Number(readFileSync(`${queue}/read_ahead_kb`, "utf8"));
    if (set !== READ_AHEAD_KIB) throw new Error(`it reads ${set} KiB ahead`);
    return { folder, remove };
  } catch (error) {
    remove();
    return { missing: `no disk image: ${error instanceof Error ? error.message : error}` };
  }
}

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command}: ${error?.message ?? stderr.trim()}`);
  return stdout.trim();
}
