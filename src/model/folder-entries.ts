import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isFolder } from "../file/exists.ts";

/** What is wrong with an {@link UndecodableEntry}, as the end of a sentence. */
export const NOT_UTF8 =
  "its name is not UTF-8, which Node.js cannot pass on: rename it, or link to it";

/** A file or folder in a folder. */
export interface Entry {
  readonly name: string;
  readonly isFolder: boolean;
}

/** An entry whose name is not UTF-8. */
export interface UndecodableEntry extends Entry {
  /** With each byte of the name as a character. */
  readonly latin1: string;
}

/** The entries of a folder. */
export interface Listing {
  /** In the order of their names. */
  readonly entries: readonly Entry[];
  /** Node.js cannot pass their names on, neither in a path nor on a command line. */
  readonly undecodable: readonly UndecodableEntry[];
  /** Whether the folder has more entries than were listed. */
  readonly isCut: boolean;
}

/** Lists a folder. A symbolic link counts as what it leads to. @param most entries at most */
export async function listFolder(folder: string, most: number): Promise<Listing> {
  const found = await readdir(folder, { withFileTypes: true, encoding: "buffer" });
  const dirents = found as unknown as Dirent<Buffer>[];
  const entries: Entry[] = [];
  const undecodable: UndecodableEntry[] = [];
  for (const dirent of dirents.slice(0, most)) {
    const name = dirent.name.toString("utf8");
    if (!Buffer.from(name).equals(dirent.name)) {
      const latin1 = dirent.name.toString("latin1");
      undecodable.push({ name: escaped(dirent.name), latin1, isFolder: dirent.isDirectory() });
    } else if (!dirent.isSymbolicLink()) {
      entries.push({ name, isFolder: dirent.isDirectory() });
    } else {
      entries.push({ name, isFolder: await isFolder(join(folder, name)) });
    }
  }
  entries.sort((one, other) => (one.name < other.name ? -1 : 1));
  return { entries, undecodable, isCut: dirents.length > most };
}

/** A name as a C string has it: `m\xe9.gguf`. */
function escaped(name: Buffer): string {
  return [...name]
    .map((byte) =>
      byte >= 0x20 && byte < 0x7f
        ? String.fromCharCode(byte)
        : `\\x${byte.toString(16).padStart(2, "0")}`,
    )
    .join("");
}
