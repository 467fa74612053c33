import { fstatSync, readFileSync, realpathSync, statfsSync } from "node:fs";
import { dirname, join } from "node:path";

/** Its files are opened on another file system, whose page cache it shows to mappings alone. */
const OVERLAY = 0x794c7630;

/**
 * File systems on devices of this machine, by `f_type` (linux/magic.h; ZFS and bcachefs from their
 * own headers). What is not listed may be another machine's or another program's: NFS, SMB, 9p, FUSE.
 */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // btrfs
  0xca451a4e, // bcachefs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0x01021994, // tmpfs
  OVERLAY,
  0x73717368, // squashfs
  0xe0f5e1e2, // erofs
  0x2011bab0, // exFAT
  0x4d44, // FAT
  0x7366746e, // NTFS
]);

export function isLocal(fd: number): boolean {
  return LOCAL.has(typeOf(fd));
}

/**
 * Whether cachestat counts the file's pages. Of a file of an overlay, what a container has, it counts
 * none; `mincore` looks through a mapping and sees them.
 */
export function countsPages(fd: number): boolean {
  const type = typeOf(fd);
  return type !== OVERLAY && LOCAL.has(type);
}

function typeOf(fd: number): number {
  try {
    return statfsSync(`/proc/self/fd/${fd}`).type;
  } catch {
    return 0;
  }
}

/**
 * Whether the file lies on a disk with an arm, which reads fastest for one reader at a time. A virtual
 * disk calls itself rotational by default and says nothing of what is behind it.
 */
export function isSpinning(fd: number): boolean {
  try {
    const device = realpathSync(`/sys/dev/block/${deviceOf(fd)}`);
    if (/\/(virtio|xen|vbd-)/.test(device)) return false;
    // A partition has no queue of its own: its disk is the folder above.
    return [device, dirname(device)].some(
      (each) => attribute(join(each, "queue/rotational")) === "1",
    );
  } catch {
    return false;
  }
}

export function readAheadBytes(fd: number): number | null {
  const kibibytes = attribute(`/sys/class/bdi/${deviceOf(fd)}/read_ahead_kb`);
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

function deviceOf(fd: number): string {
  return deviceName(fstatSync(fd, { bigint: true }).dev);
}

/** `MAJOR:MINOR`, as `/sys` calls a device (`gnu_dev_major`, sys/sysmacros.h). */
export function deviceName(dev: bigint): string {
  return `${(dev >> 8n) & 0xfffn}:${(dev & 0xffn) | ((dev >> 12n) & 0xfff00n)}`;
}

function attribute(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}
