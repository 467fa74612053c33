import { loadShim } from "../../shims/index.ts";
import { PrefaultError } from "../errors.ts";
import { type OpenFile, openFile } from "./open-file.ts";

/**
 * Files that are each opened once: the code that reads a header and the code that fills the file
 * afterwards use the same handle, so that both see the same file.
 *
 * A header is read without read-ahead. That would bring megabytes along where a device reads far ahead,
 * and leave a page behind that starts reading ahead again whenever it is read, by whomever
 * (mm/readahead.c, `page_cache_async_ra`): a budget could then not be kept to.
 */
export class FileSet {
  readonly #files = new Map<string, Promise<OpenFile>>();
  #isClosed = false;

  /**
   * Opens a file, or returns it when it is open already.
   *
   * @throws as {@link openFile}, and {@link PrefaultError} `PREFAULT_CLOSED` when the set was closed
   */
  open(path: string): Promise<OpenFile> {
    // Work that an abort left behind goes on, and nobody would close what it opens.
    if (this.#isClosed) {
      return Promise.reject(
        new PrefaultError("PREFAULT_CLOSED", "the files were closed", { path }),
      );
    }
    let file = this.#files.get(path);
    if (file === undefined) {
      file = openForHeader(path);
      this.#files.set(path, file);
      // A file that could not be opened may exist at the next attempt.
      file.catch(() => this.#files.delete(path));
    }
    return file;
  }

  /** Closes every file but these. */
  async closeOthers(kept: ReadonlySet<string>): Promise<void> {
    const others = [...this.#files].filter(([path]) => !kept.has(path));
    for (const [path] of others) this.#files.delete(path);
    // An error of closing a file, as a network file system may give, changes nothing of what was read.
    await Promise.allSettled(others.map(async ([, file]) => (await file).handle.close()));
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.closeOthers(new Set());
  }
}

async function openForHeader(path: string): Promise<OpenFile> {
  const [file, shim] = await Promise.all([openFile(path), loadShim()]);
  shim.adviseFile(file.fd, "random");
  return file;
}
