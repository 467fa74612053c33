import { existsSync, mkdirSync, renameSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { loadShim } from "../shims/index.ts";
import { evict } from "../src/residency/evict.ts";
import { formatBytes } from "../src/units.ts";
import { LARGE, SMALL, writeRoutedModel } from "../test/models/routed-model.ts";
import { writeSyntheticModel } from "../test/models/synthetic-model.ts";
import type { GuestMemory } from "./guest-memory.ts";
import { temporaryFolder } from "./temp-folder.ts";

const STEP_BYTES = 4 * 1024 ** 2;
const LARGE_BYTES = 3 * 1024 ** 3;

/** The files the scopes fill. Made on first use, and kept where a folder was named. */
export class Subjects {
  readonly folder: string;
  readonly memory: GuestMemory;
  readonly #dropCaches: boolean;

  constructor(folder: string | undefined, memory: GuestMemory, dropCaches: boolean) {
    if (folder !== undefined) mkdirSync(folder, { recursive: true });
    this.folder = folder ?? temporaryFolder();
    this.memory = memory;
    this.#dropCaches = dropCaches;
  }

  /** A file of random bytes: no file system compresses it or leaves holes. */
  async file(byteLength: number): Promise<string> {
    return this.#made(`bench-${byteLength}.bin`, byteLength, async (path) => {
      const step = Buffer.allocUnsafe(Math.min(STEP_BYTES, byteLength));
      let state = 1n;
      const words = new BigUint64Array(step.buffer, step.byteOffset, step.byteLength >> 3);
      const handle = await open(path, "w");
      for (let at = 0; at < byteLength; at += step.byteLength) {
        // xorshift64 (Marsaglia 2003), one word in 64: enough to make all blocks differ.
        for (let index = 0; index < words.length; index += 64) {
          state ^= (state << 13n) & 0xffff_ffff_ffff_ffffn;
          state ^= state >> 7n;
          state ^= (state << 17n) & 0xffff_ffff_ffff_ffffn;
          words[index] = state;
        }
        await handle.write(step, 0, Math.min(step.byteLength, byteLength - at));
      }
      await handle.sync();
      await handle.close();
    });
  }

  /** A mixture of experts of 24 layers, of whose 128 experts a token uses 8. */
  async model(byteLength: number): Promise<string> {
    return this.#made(`bench-moe-${byteLength}.gguf`, byteLength, async (path) => {
      const shape = { layers: 24, experts: 128, expertsUsed: 8 };
      await writeSyntheticModel({ kind: "moe", path, targetBytes: byteLength, ...shape });
      const handle = await open(path, "r+");
      await handle.sync();
      await handle.close();
    });
  }

  /** A mixture that routes as real ones do, with slices of half a megabyte or so at 1.3 and at 5.3 GiB. */
  async routed(byteLength: number): Promise<string> {
    return this.#made(`bench-routed-${byteLength}.gguf`, byteLength, async (path) => {
      const shape = byteLength < LARGE_BYTES ? SMALL : LARGE;
      await writeRoutedModel({ path, targetBytes: byteLength, ...shape });
    });
  }

  /** The same, but for routers that choose all experts about equally often. */
  async uniform(byteLength: number): Promise<string> {
    return this.#made(`bench-uniform-${byteLength}.gguf`, byteLength, async (path) => {
      const shape = byteLength < LARGE_BYTES ? SMALL : LARGE;
      await writeRoutedModel({ path, targetBytes: byteLength, routerSkew: 0, ...shape });
    });
  }

  /** A dense model of 24 layers, of which a token uses every byte. */
  async dense(byteLength: number, name = "dense"): Promise<string> {
    return this.#made(`bench-${name}-${byteLength}.gguf`, byteLength, async (path) => {
      await writeSyntheticModel({ kind: "dense", path, targetBytes: byteLength, layers: 24 });
      const handle = await open(path, "r+");
      await handle.sync();
      await handle.close();
    });
  }

  /**
   * Evicts a file from the page cache and checks that none of it is resident.
   *
   * @param memory whether the hypervisor, if any, has given the memory that the file will fill
   * @throws Error when any of it stays resident
   */
  async cool(path: string, memory: "given" | "taken back" = "given"): Promise<void> {
    if (this.#dropCaches) writeFileSync("/proc/sys/vm/drop_caches", "3");
    const byteLength = statSync(path).size;
    const regions = [{ path, offset: 0, byteLength }];
    let residentBytes: number | null = null;
    for (let attempt = 0; attempt < 3 && residentBytes !== 0; attempt++) {
      ({ residentBytesAfter: residentBytes } = await evict(regions));
    }
    if (residentBytes !== 0) throw new Error(`not cold: ${residentBytes} bytes stay resident`);
    if (memory === "given") await this.memory.given(byteLength);
    else await this.memory.takenBack();
  }

  /** Share of the file that is in the page cache, in percent. */
  async residentPercent(path: string): Promise<number> {
    const shim = await loadShim();
    const handle = await open(path);
    try {
      const { size } = await handle.stat();
      const file = { path, fd: handle.fd, facts: await shim.describeFile({ path, handle }) };
      const pages = Math.ceil(size / shim.pageBytes) * shim.pageBytes;
      return (100 * (shim.residentBytes(file, 0, size) ?? Number.NaN)) / pages;
    } finally {
      await handle.close();
    }
  }

  async #made(
    name: string,
    byteLength: number,
    make: (path: string) => Promise<void>,
  ): Promise<string> {
    const path = join(this.folder, name);
    if (existsSync(path)) return path;
    const { bavail, bsize } = statfsSync(this.folder);
    if (bavail * bsize < 1.1 * byteLength) {
      throw new Error(`${formatBytes(byteLength)} do not fit into ${this.folder}`);
    }
    // Under another name until it is complete, so that an interrupted run leaves no half file to reuse.
    const unfinished = join(this.folder, `unfinished-${name}`);
    await make(unfinished);
    renameSync(unfinished, path);
    return path;
  }
}
