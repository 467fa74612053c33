import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

/** What stands for a distribution's programs: a shell, and `env`, by which npm and the command start. */
const APPLETS = ["sh", "env", "cat", "sleep", "touch", "id"];

/** Whom this machine trusts: its registry of packages may be a mirror of its own. */
export const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";

/**
 * Lays out what `node:22-bookworm-slim` has, of this machine's own Node: the node, npm, a shell, and the user
 * that the image of the example names. No registry of images is asked.
 */
export function layOutBase(folder: string): void {
  for (const name of ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr/bin"]) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  chmodSync(join(folder, "tmp"), 0o1777);
  cpSync(which("busybox"), join(folder, "bin/busybox"), { dereference: true });
  for (const name of APPLETS) symlinkSync("busybox", join(folder, "bin", name));
  symlinkSync("../../bin/env", join(folder, "usr/bin/env"));
  cpSync(process.execPath, join(folder, "usr/bin/node"), { dereference: true });
  for (const library of librariesOf(process.execPath)) {
    cpSync(library, join(folder, library), { dereference: true });
  }
  const npm = join(dirname(realpathSync(which("npm"))), "..");
  cpSync(npm, join(folder, "usr/lib/node_modules/npm"), { recursive: true });
  symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", join(folder, "usr/bin/npm"));
  if (existsSync(CERTIFICATES)) cpSync(CERTIFICATES, join(folder, CERTIFICATES));
  writeFileSync(
    join(folder, "etc/passwd"),
    "root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/tmp:/bin/sh\n",
  );
  writeFileSync(join(folder, "etc/group"), "root:x:0:\nnode:x:1000:\n");
}

export function which(program: string): string {
  return execFileSync("sh", ["-c", 'command -v "$0"', program], { encoding: "utf8" }).trim();
}

/** What a program is linked with, the loader included. */
function librariesOf(program: string): string[] {
  const lines = execFileSync("ldd", [program], { encoding: "utf8" });
  return [...lines.matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path);
}
