import type { BigIntStats } from "node:fs";
import { constants, type FileHandle, open, stat, statfs } from "node:fs/promises";
import { resolve } from "node:path";
import type { DescribedFile, Shim } from "../../shims/index.ts";
import { errnoOf } from "../describe.ts";
import { PrefaultError, type PrefaultErrorCode } from "../errors.ts";

/** An open file, for a worker thread. Threads share the descriptors of the process. */
export interface FileSource extends DescribedFile {
  /** Bytes, when it was opened. */
  readonly byteLength: number;
}

/** A regular file, open for reading. */
export interface OpenFile {
  /** As the caller wrote it. */
  readonly path: string;
  readonly handle: FileHandle;
  readonly fd: number;
  /** Bytes, when it was opened. */
  readonly byteLength: number;
  /** The same for every path, hard link and symbolic link that leads to the same file. */
  readonly identity: string;
}

/**
 * Opens a regular file for reading.
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND`, `PREFAULT_NOT_A_FILE`, `PREFAULT_PERMISSION`
 */
export async function openFile(path: string): Promise<OpenFile> {
  try {
    await expectRegular(path);
    // NONBLOCK: if the path leads to a FIFO by now, `open` does not wait for a writer. The second check
    // is on the file that was really opened.
    const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      const found = await expectRegular(path, handle);
      const identity = identityOf(found);
      return { path, handle, fd: handle.fd, byteLength: Number(found.size), identity };
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (error) {
    throw asFileError(error, path);
  }
}

/** An open file with the system's facts of it. */
export interface DescribedOpenFile extends OpenFile, FileSource {}

/** Asks the system about an open file, once, so that later decisions need no file system call. */
export async function describeOpenFile(
  file: OpenFile,
  shim: Pick<Shim, "describeFile">,
): Promise<DescribedOpenFile> {
  return { ...file, facts: await shim.describeFile(file) };
}

/** The same file under any name has the same identity. @throws as {@link openFile} */
export async function fileIdentity(path: string): Promise<string> {
  try {
    return identityOf(await stat(path, { bigint: true }));
  } catch (error) {
    throw asFileError(error, path);
  }
}

/** The time of birth is part of it, since the number of a deleted file is soon given to a new file. */
function identityOf({ dev, ino, birthtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${birthtimeNs}`;
}

/**
 * Whether the path leads to another file by now. False when it leads nowhere: a deleted file can still
 * be in use.
 */
export async function isReplaced({
  path,
  identity,
}: Pick<OpenFile, "path" | "identity">): Promise<boolean> {
  return fileIdentity(path).then(
    (now) => now !== identity,
    () => false,
  );
}

/**
 * Pseudo file systems by `f_type` (linux/magic.h): the kernel makes the contents of their files when they
 * are read. `stat` reports them as regular files.
 */
const PSEUDO_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
]);

/** False where statfs is refused, as a seccomp profile may do: the file is opened all the same. */
async function isOnPseudoFileSystem(path: string): Promise<boolean> {
  return statfs(path).then(
    ({ type }) => PSEUDO_FILE_SYSTEMS.has(type),
    () => false,
  );
}

async function expectRegular(path: string, handle?: FileHandle) {
  const found = await (handle === undefined
    ? stat(path, { bigint: true })
    : handle.stat({ bigint: true }));
  const isPseudo = handle === undefined && (await isOnPseudoFileSystem(path));
  if (found.isFile() && !isPseudo) return found;
  const kind = isPseudo
    ? "a pseudo file of the kernel"
    : found.isDirectory()
      ? "a directory"
      : found.isFIFO()
        ? "a FIFO"
        : found.isSocket()
          ? "a socket"
          : "a device";
  throw new PrefaultError("PREFAULT_NOT_A_FILE", `${path} is ${kind}, not a file`, { path });
}

const CODES: Readonly<Record<string, [PrefaultErrorCode, string]>> = {
  ENOENT: ["PREFAULT_NOT_FOUND", "no such file"],
  ENOTDIR: ["PREFAULT_NOT_FOUND", "no such file"],
  ELOOP: ["PREFAULT_NOT_FOUND", "its symbolic links lead in a circle"],
  EACCES: ["PREFAULT_PERMISSION", "you may not read it"],
  EPERM: ["PREFAULT_PERMISSION", "you may not read it"],
  // Windows: another program has opened it without sharing it.
  EBUSY: ["PREFAULT_PERMISSION", "another program has it open and does not share it"],
};

/** An error of the file system on a path, as this package's error. Any other error as it is. */
export function asFileError(error: unknown, path: string): unknown {
  const errno = errnoOf(error);
  if (PrefaultError.is(error) || errno === undefined) return error;
  const [code, why] = CODES[errno] ?? ["PREFAULT_READ_FAILED", `the system says ${errno}`];
  const absolute = resolve(path);
  const shown = absolute === path ? path : `${path} (${absolute})`;
  return new PrefaultError(code, `${shown} cannot be opened: ${why}`, {
    errno,
    path,
    cause: error,
  });
}
