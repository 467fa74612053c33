import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type MemoryCgroup, makeMemoryCgroup } from "../../test/helpers/memory-cgroup.ts";

/** A memory cgroup with a limit, of either version. */
export class MemoryGroup {
  readonly limitBytes: number;
  readonly #group: MemoryCgroup;

  /** @throws Error that says why there can be none */
  constructor(limitBytes: number) {
    const made = makeMemoryCgroup(limitBytes);
    if (typeof made === "string") throw new Error(made);
    this.#group = made;
    this.limitBytes = limitBytes;
  }

  /** What a process writes its number to in order to join. */
  get procs(): string {
    return join(this.#group.folder, "cgroup.procs");
  }

  /** Page cache included. */
  get usedBytes(): number {
    const file = this.#isV2 ? "memory.current" : "memory.usage_in_bytes";
    return Number(readFileSync(join(this.#group.folder, file), "utf8"));
  }

  /**
   * Reclaims pages of the group, the least used first, until it uses at most `bytes`.
   *
   * @returns whether the usage is within 2 % of that
   */
  reclaimTo(bytes: number): boolean {
    const excess = this.usedBytes - bytes;
    if (excess <= 0) return true;
    try {
      if (this.#isV2) writeFileSync(join(this.#group.folder, "memory.reclaim"), String(excess));
      // The first version has no such file; a limit that is lowered reclaims what lies above it.
      else this.#lowerLimit(bytes);
    } catch {
      // Some of it cannot be taken: it is in use, or locked.
    }
    return this.usedBytes <= bytes * 1.02;
  }

  /** Ends what still runs in it, and removes it. */
  remove(): Promise<void> {
    return this.#group.remove();
  }

  get #isV2(): boolean {
    return existsSync(join(this.#group.folder, "memory.max"));
  }

  #lowerLimit(bytes: number): void {
    const limit = join(this.#group.folder, "memory.limit_in_bytes");
    try {
      writeFileSync(limit, String(Math.floor(bytes)));
    } finally {
      writeFileSync(limit, String(this.limitBytes));
    }
  }
}
