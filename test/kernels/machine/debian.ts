import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cached, Unavailable } from "./cache.ts";
import { command } from "./command.ts";

export type Architecture = "amd64" | "arm64";

/** Debian's packages of one suite, for one processor, apart from this machine's own. */
export interface Suite {
  readonly name: string;
  readonly arch: Architecture;
}

const KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** A package's files, unpacked. Downloaded once; a newer one only after the cache is removed. */
export function unpackedPackage(suite: Suite, name: string): string {
  return unpacked(suite, name, () => [name]);
}

/**
 * The files of the newest kernel of a series, unpacked: of the package that the meta-package depends
 * on, and, since 7.3, of those with the binary and the modules that it depends on in turn.
 */
export function unpackedKernel(suite: Suite, meta: string): string {
  return unpacked(suite, meta, () => {
    const [image] = dependencies(suite, meta, /^linux-image-/);
    if (image === undefined) throw new Unavailable(`${suite.name} has no package ${meta}`);
    return [image, ...dependencies(suite, image, /^linux-(binary|modules)-/)];
  });
}

function unpacked(suite: Suite, name: string, packages: () => readonly string[]): string {
  return cached(join("packages", suite.name, suite.arch, name), (path) => {
    const downloads = `${path}.downloads`;
    rmSync(downloads, { recursive: true, force: true });
    mkdirSync(downloads, { recursive: true });
    command("apt-get", [...options(suite), "download", ...packages()], { cwd: downloads });
    for (const file of readdirSync(downloads)) {
      command("dpkg-deb", ["-x", join(downloads, file), path]);
    }
    rmSync(downloads, { recursive: true });
  });
}

function dependencies(suite: Suite, name: string, pattern: RegExp): string[] {
  const found = command("apt-cache", [...options(suite), "depends", name]);
  return [...found.matchAll(/^ *Depends: (\S+)$/gm)].flatMap(([, dependency = ""]) =>
    pattern.test(dependency) ? [dependency] : [],
  );
}

/** Makes apt use lists of its own, with nothing installed; this machine's are left as they are. */
function options({ name, arch }: Suite): string[] {
  const home = cached(join("lists", name, arch), (path) => {
    mkdirSync(join(path, "lists", "partial"), { recursive: true });
    mkdirSync(join(path, "cache", "archives", "partial"), { recursive: true });
    const key = existsSync(KEYS) ? `[signed-by=${KEYS}] ` : "";
    writeFileSync(join(path, "sources.list"), `deb ${key}${mirrorOf(name)} ${name} main\n`);
    command("apt-get", [...settings(path, arch), "-q", "update", "--error-on=any"]);
  });
  return settings(home, arch);
}

function settings(home: string, arch: Architecture): string[] {
  const own = {
    "APT::Architecture": arch,
    "APT::Architectures": arch,
    // Without it root's downloads are made by a user who may not write to the folder.
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Dir::Cache": join(home, "cache"),
    "Dir::Etc::sourcelist": join(home, "sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::State::lists": join(home, "lists"),
    "Dir::State::status": "/dev/null",
  };
  return Object.entries(own).map(([key, value]) => `-o${key}=${value}`);
}

/**
 * The mirror that this machine's apt is set up with, which has the other suites as well. On another
 * distribution `PREFAULT_DEBIAN_MIRROR` names one: the address that has `debian/` and `debian-security/`.
 */
function mirrorOf(suite: string): string {
  const archive = suite.endsWith("-security") ? "debian-security" : "debian";
  const given = process.env["PREFAULT_DEBIAN_MIRROR"];
  if (given !== undefined) return `${given.replace(/\/$/, "")}/${archive}`;
  if (!/^ID=debian$/m.test(readFileSync("/etc/os-release", "utf8"))) {
    throw new Unavailable("this is no Debian, and PREFAULT_DEBIAN_MIRROR names no mirror");
  }
  const targets = command("apt-get", ["indextargets", "--format", "$(REPO_URI)"]).split("\n");
  const found = targets.find((uri) => new RegExp(`/${archive}/?$`).test(uri));
  if (found === undefined) throw new Unavailable(`apt is set up with no ${archive} archive`);
  return found;
}
