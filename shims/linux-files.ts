import { access, constants, type FileHandle, readFile, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { FileFacts } from "./file-facts.ts";
import { attribute, describeDisk, deviceName, overlayLayers, thisMachine } from "./linux-disk.ts";
import { type Mount, parseMounts } from "./mount-table.ts";

const OVERLAY = 0x794c7630;
const FUSE = 0x65735546;
const HUGETLBFS = 0x958458f6;

/**
 * File systems on devices of this machine, by `f_type` (linux/magic.h; ZFS and bcachefs from their
 * own headers). Any other may be served by another machine or program: NFS, SMB, 9p, FUSE.
 */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // btrfs
  0xca451a4e, // bcachefs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0x3153464a, // JFS
  0x3434, // NILFS
  0x01021994, // tmpfs, and memory files
  0x858458f6, // ramfs
  OVERLAY,
  0x73717368, // squashfs
  0xe0f5e1e2, // erofs
  0x9660, // ISO 9660
  0x15013346, // UDF
  0x2011bab0, // exFAT
  0x4d44, // FAT
  0x7366746e, // NTFS
]);

/** Their pages belong to files of another file system; only a mapping shows which are resident. */
const STACKED: ReadonlySet<number> = new Set([
  OVERLAY,
  0x61756673, // aufs
  0x6a656a62, // shiftfs
]);

/**
 * Collects the facts of an open file without blocking the event loop: each of these questions may wait
 * for a server that does not answer. Never fails: a refused question counts as not known.
 */
export async function describeFile(
  { handle, path }: { readonly handle: FileHandle; readonly path: string },
  machine = thisMachine,
): Promise<FileFacts> {
  const { dev, uid } = await handle.stat({ bigint: true });
  const name = await nameOf(handle, path);
  const fsType = await typeOf(name);
  const mount = await mountOf(handle, machine.root);
  const isLocal = await isOnThisMachine(fsType, dev, mount);
  return {
    isLocal,
    mayKnow: fsType !== HUGETLBFS && (await mayKnow(uid, name, mount)),
    mayMap: isLocal || fsType === FUSE,
    countsPages: fsType !== null && !STACKED.has(fsType),
    countsOnlyItsOwn: fsType === FUSE,
    ...(await describeDisk({ dev, mount }, machine)),
  };
}

/** A path of the open file itself: its own path may lead to another file by now. */
async function nameOf(handle: FileHandle, path: string): Promise<string> {
  const own = `/proc/self/fd/${handle.fd}`;
  return stat(own).then(
    () => own,
    () => path, // without `/proc`
  );
}

async function typeOf(path: string): Promise<number | null> {
  return statfs(path).then(
    ({ type }) => type,
    () => null,
  );
}

/** The mount through which a file was opened. */
async function mountOf(handle: FileHandle, root: string): Promise<Mount | undefined> {
  const info = await attribute(join(root, "proc/self/fdinfo", `${handle.fd}`));
  const id = Number(/^mnt_id:\s*(\d+)$/m.exec(info ?? "")?.[1]);
  const table = await attribute(join(root, "proc/self/mountinfo"));
  return parseMounts(table ?? "").find((mount) => mount.id === id);
}

/** An overlay is local when all its layers are. */
async function isOnThisMachine(
  fsType: number | null,
  dev: bigint,
  mount: Mount | undefined,
): Promise<boolean> {
  // The device number of a file system on a block device is that device's; others have major number 0.
  if (fsType === null) return !deviceName(dev).startsWith("0:");
  if (!LOCAL.has(fsType)) return false;
  if (fsType !== OVERLAY || mount?.type !== "overlay") return true;
  for (const layer of overlayLayers(mount)) {
    const type = await typeOf(layer);
    // In a container the paths of the layers may not exist: such a layer counts as local.
    if (type !== null && !LOCAL.has(type)) return false;
  }
  return true;
}

/**
 * Whether `mincore` tells this process the truth. To a process that neither owns the file nor may write
 * it, it reports every page as resident (mm/mincore.c, `can_do_mincore`). A mount that is read-only does not count,
 * as that of a container's volume: `access` says EROFS of it to who may write to the file (fs/open.c,
 * `do_faccessat`). A file system that is read-only as a whole does.
 */
export async function mayKnow(
  uid: bigint,
  path: string,
  mount: Mount | undefined,
): Promise<boolean> {
  if (uid === BigInt(process.geteuid?.() ?? -1)) return true;
  if (uid !== NOBODY && (await actsAsOwner())) return true;
  // access(2) checks the real user and `mincore` the effective one, so they have to be the same.
  if (process.getuid?.() !== process.geteuid?.()) return false;
  return access(path, constants.W_OK).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      return error.code === "EROFS" && mount?.options.includes("rw") === true;
    },
  );
}

/** The owner of files whose owner has no number in this user namespace (`overflowuid`). */
const NOBODY = 65_534n;
const CAP_FOWNER = 3n; // linux/capability.h

/** Whether this process counts as the owner of every file, as root does. */
async function actsAsOwner(): Promise<boolean> {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return ((BigInt(`0x${effective}`) >> CAP_FOWNER) & 1n) === 1n;
}
