import { loadShim } from "../../shims/index.ts";
import { type OpenFile, openFile } from "./open-file.ts";

/**
 * Files that are opened once each: whoever reads a header and whoever fills the file afterwards use the
 * same handle, so that both see the same file.
 *
 * A header is read without read-ahead. That would bring megabytes along where a device reads far ahead,
 * and leave a page behind that starts reading ahead again whenever it is read, by whomever
 * (mm/readahead.c, `page_cache_async_ra`): a budget could then not be kept to.
 */
export class FileSet {
  readonly #files = new Map<string, Promise<OpenFile>>();

  /** Opens a file, or hands out the one that is open. @throws as {@link openFile} */
  open(path: string): Promise<OpenFile> {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = openForHeader(path);
      this.#files.set(path, file);
      // What could not be opened may be there the next time.
      file.catch(() => this.#files.delete(path));
    }
    return file;
  }

  /** Closes every file but these. */
  async closeOthers(kept: ReadonlySet<string>): Promise<void> {
    const others = [...this.#files].filter(([path]) => !kept.has(path));
    for (const [path] of others) this.#files.delete(path);
    // What was read stays read, whatever a network file system says to closing it.
    await Promise.allSettled(others.map(async ([, file]) => (await file).handle.close()));
  }

  close(): Promise<void> {
    return this.closeOthers(new Set());
  }
}

async function openForHeader(path: string): Promise<OpenFile> {
  const [file, shim] = await Promise.all([openFile(path), loadShim()]);
  shim.adviseFile(file.fd, "random");
  return file;
}
