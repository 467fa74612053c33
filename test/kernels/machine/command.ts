import { execFileSync, spawnSync } from "node:child_process";
import { Unavailable } from "./cache.ts";

export interface CommandOptions {
  readonly cwd?: string;
}

/** Runs a program. @throws Unavailable, with the end of what it said on stderr */
export function command(
  name: string,
  args: readonly string[],
  { cwd }: CommandOptions = {},
): string {
  try {
    const most = 64 * 1024 ** 2;
    const stdio = ["ignore", "pipe", "pipe"] as const;
    return execFileSync(name, args, { encoding: "utf8", maxBuffer: most, stdio: [...stdio], cwd });
  } catch (error) {
    // `null` where it could not be started.
    const { stderr, message } = error as Error & { stderr?: string | null };
    const said = (stderr ?? "").trim().split("\n").slice(-3).join("; ");
    throw new Unavailable(`${name} ${args[0] ?? ""} failed: ${said || message}`);
  }
}

/** Debian's packages that the group needs on this machine, and a program of each. */
const NEEDED = [
  ["apt-get", "apt"],
  ["dpkg-deb", "dpkg"],
  ["xz", "xz-utils"],
  ["cpio", "cpio"],
  ["mkfs.ext4", "e2fsprogs"],
  ["mkfs.xfs", "xfsprogs"],
] as const;

/** @returns which programs are missing, with the packages that have them, or nothing */
export function missingPrograms(emulator: string): string | undefined {
  const qemu = [emulator, emulator.endsWith("x86_64") ? "qemu-system-x86" : "qemu-system-arm"];
  const missing = [qemu, ...NEEDED].filter(([program = ""]) => {
    const found = spawnSync("sh", ["-c", 'PATH="$PATH:/usr/sbin:/sbin" command -v "$0"', program]);
    return found.status !== 0;
  });
  if (missing.length === 0) return undefined;
  return `not installed: ${missing.map(([name, from]) => `${name} (package ${from})`).join(", ")}`;
}
