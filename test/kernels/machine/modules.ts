import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { Unavailable } from "./cache.ts";
import { command } from "./command.ts";

/** What the disks and the cases need, where the kernel has it not built in. */
const WANTED = [
  "virtio_pci",
  "virtio_blk",
  "virtio_scsi",
  "sd_mod",
  "ahci",
  "dm_mod",
  "dm_delay",
  "loop",
  "crc32c_generic",
  "ext4",
  "xfs",
  "overlay",
];

/** An unpacked kernel package. */
export interface KernelFiles {
  readonly image: string;
  readonly release: string;
  /** Its folder of modules. */
  readonly modules: string;
}

export function kernelFiles(folder: string): KernelFiles {
  const modules = ["lib/modules", "usr/lib/modules"]
    .map((path) => join(folder, path))
    .flatMap((path) => (existsSync(path) ? readdirSync(path).map((each) => join(path, each)) : []));
  const [home] = modules;
  if (home === undefined) throw new Unavailable(`no modules in ${folder}`);
  const release = basename(home);
  // Beside its modules since 7.3.
  const image = [join(folder, "boot", `vmlinuz-${release}`), join(home, "vmlinuz")].find(
    existsSync,
  );
  if (image === undefined) throw new Unavailable(`no kernel ${release} in ${folder}`);
  return { image, release, modules: home };
}

/**
 * Writes the wanted modules into `folder`, unpacked, with a file `order` that names them in the
 * order to insert them in.
 */
export function copyModules({ modules }: KernelFiles, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const paths = readdirSync(modules, { recursive: true, encoding: "utf8" });
  const available = new Map(paths.filter(isModule).map((path) => [nameOf(path), path]));
  const order: string[] = [];
  const add = (name: string) => {
    const path = available.get(name);
    if (path === undefined || order.includes(path)) return;
    const copy = join(folder, basename(path));
    copyFileSync(join(modules, path), copy);
    if (copy.endsWith(".xz")) command("xz", ["-d", copy]);
    for (const needed of dependencies(copy.replace(/\.xz$/, ""))) add(needed);
    order.push(path);
  };
  for (const name of WANTED) add(name);
  const names = order.map((path) => basename(path, ".xz"));
  writeFileSync(join(folder, "order"), `${names.join("\n")}\n`);
}

const isModule = (path: string) => /\.ko(\.xz)?$/.test(path);

/** A module's name has underscores; its file, at times, dashes. */
const nameOf = (path: string) =>
  basename(path)
    .replace(/\.ko(\.xz)?$/, "")
    .replaceAll("-", "_");

/** What a module says that it needs, in its section `.modinfo`: `depends=mbcache,jbd2`. */
function dependencies(file: string): string[] {
  const [, found = ""] = /\0depends=([^\0]*)\0/.exec(readFileSync(file, "latin1")) ?? [];
  return found
    .split(",")
    .map(nameOf)
    .filter((name) => name !== "");
}
