import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cached } from "./cache.ts";
import { command } from "./command.ts";
import { type Architecture, unpackedPackage } from "./debian.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** Its C library is old enough to run on every kernel of the table. */
const SUITE = "bookworm";

/** Programs, and what they and Node are linked with. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  "busybox-static": ["bin/busybox"],
  // fincore, the judge of residency that is not ours
  "util-linux-extra": ["usr/bin/fincore"],
  dmsetup: ["sbin/dmsetup"],
  crun: ["usr/bin/crun"],
};
const LIBRARIES = [
  "libc6",
  "libgcc-s1",
  "libstdc++6",
  "libsmartcols1",
  "libdevmapper1.02.1",
  "libselinux1",
  "libudev1",
  "libpcre2-8-0",
  "libcap2",
  "libseccomp2",
  "libsystemd0",
  "libyajl2",
  "libgcrypt20",
  "libgpg-error0",
  "liblz4-1",
  "liblzma5",
  "libzstd1",
];

/** The loader's path is written into every program. */
const LOADER = {
  amd64: ["x86_64-linux-gnu", "lib64", "ld-linux-x86-64.so.2"],
  arm64: ["aarch64-linux-gnu", "lib", "ld-linux-aarch64.so.1"],
} as const;

const NODE_MAJOR = "22";

/** An archive with everything but the package, the cases and the kernel's modules. */
export function userland(arch: Architecture): string {
  const modules = nodeModules(arch);
  const listed = createHash("sha256").update(JSON.stringify([PACKAGES, LIBRARIES]));
  const key = `${modules.key}_${listed.digest("hex").slice(0, 8)}`;
  return cached(`${key}.cpio`, (path) => {
    const root = cached(`root-${key}`, (folder) => {
      mkdirSync(folder, { recursive: true });
      copyDebian(arch, folder);
      const node = `node-linux-${arch === "amd64" ? "x64" : arch}`;
      cpSync(join(modules.folder, node, "bin/node"), join(folder, "bin/node"));
      cpSync(modules.folder, join(folder, "app/node_modules"), {
        recursive: true,
        filter: (source) => !source.startsWith(join(modules.folder, node)),
      });
      for (const name of ["proc", "sys", "dev", "tmp", "mnt"]) mkdirSync(join(folder, name));
    });
    archive(root, path);
  });
}

/** Writes the folder as an archive that the kernel unpacks into its first file system. */
export function archive(folder: string, path: string): void {
  const script = 'find . | cpio --quiet -o -H newc -R 0:0 > "$0"';
  command("sh", ["-c", script, path], { cwd: folder });
}

function copyDebian(arch: Architecture, folder: string): void {
  const [triplet, loaderFolder, loader] = LOADER[arch];
  const suite = { name: SUITE, arch };
  for (const [name, files] of Object.entries(PACKAGES)) {
    const from = unpackedPackage(suite, name);
    for (const file of files) cpSync(join(from, file), join(folder, file), { recursive: true });
  }
  const libraries = join(folder, "lib", triplet);
  mkdirSync(libraries, { recursive: true });
  for (const name of LIBRARIES) {
    const from = unpackedPackage(suite, name);
    for (const lib of [`lib/${triplet}`, `usr/lib/${triplet}`]) {
      // Links and all: the loader looks for the short names.
      for (const file of list(join(from, lib)).filter((each) => /\.so(\.|$)/.test(each))) {
        cpSync(join(from, lib, file), join(libraries, file), { verbatimSymlinks: true });
      }
    }
  }
  mkdirSync(join(folder, loaderFolder), { recursive: true });
  cpSync(join(libraries, loader), join(folder, loaderFolder, loader), { dereference: true });
}

const list = (folder: string) => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

/** The dependencies that are installed here, and a Node, as npm has them for that processor. */
function nodeModules(arch: Architecture): { readonly key: string; readonly folder: string } {
  const cpu = arch === "amd64" ? "x64" : arch;
  const dependencies: Record<string, string> = { [`node-linux-${cpu}`]: NODE_MAJOR };
  for (const name of Object.keys(readJson(join(ROOT, "package.json")).dependencies)) {
    dependencies[name] = readJson(join(ROOT, "node_modules", name, "package.json")).version;
  }
  const key = [arch, ...Object.entries(dependencies).map(([name, version]) => `${name}-${version}`)]
    .join("_")
    .replaceAll("/", "-");
  const home = cached(`modules-${key}`, (path) => {
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "package.json"), JSON.stringify({ private: true, dependencies }));
    const target = ["--os=linux", `--cpu=${cpu}`, "--libc=glibc", "--force", "--ignore-scripts"];
    const quiet = ["--no-audit", "--no-fund", "--prefer-offline"];
    command("npm", ["install", "--omit=dev", ...quiet, ...target], { cwd: path });
  });
  return { key, folder: join(home, "node_modules") };
}

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8")) as Manifest;
