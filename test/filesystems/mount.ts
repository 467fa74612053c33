import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Least that mkfs.xfs makes a file system in. */
const IMAGE_BYTES = 400 * 1024 ** 2;

export interface Mounted {
  /** An empty folder of the file system. */
  readonly folder: string;
  unmount(): void;
}

/** Makes and mounts a file system below a folder; or says why that cannot be done here. */
export type Mount = (below: string) => Mounted | string;

/** Of a disk image, through a loop device. */
export function image(type: "ext4" | "xfs" | "btrfs", ...options: string[]): Mount {
  return (below) => {
    const refused = refusal(`mkfs.${type}`);
    if (refused !== undefined) return refused;
    const file = join(below, `${type}.img`);
    writeFileSync(file, "");
    truncateSync(file, IMAGE_BYTES);
    execFileSync(`mkfs.${type}`, [...options, file], { stdio: "pipe" });
    return mount(below, type, "-o", "loop", file);
  };
}

export const tmpfs: Mount = (below) =>
  refusal("mount") ?? mount(below, "tmpfs", "-t", "tmpfs", "-o", "size=400M", "none");

/** Over a folder of the file system below, which is where the data comes from. */
export const overlay: Mount = (below) => {
  const refused = refusal("mount");
  if (refused !== undefined) return refused;
  const [lower, upper, work] = ["lower", "upper", "work"].map((name) => join(below, name));
  for (const folder of [lower, upper, work]) mkdirSync(folder ?? "");
  const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  return mount(below, "overlay", "-t", "overlay", "-o", layers, "none");
};

function refusal(program: string): string | undefined {
  if (process.platform !== "linux") return "mounting is done on Linux only";
  if (process.getuid?.() !== 0) return "mounting needs root";
  const found = spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
  return found ? undefined : `${program} is not installed`;
}

function mount(below: string, name: string, ...options: string[]): Mounted | string {
  const folder = join(below, `${name}-mount`);
  mkdirSync(folder);
  const mounted = spawnSync("mount", [...options, folder], { encoding: "utf8" });
  if (mounted.status !== 0) return `mount: ${mounted.stderr.trim()}`;
  return { folder, unmount: () => void spawnSync("umount", ["-l", folder]) };
}
