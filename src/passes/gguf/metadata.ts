import { PrefaultError } from "../../errors.ts";
import type { MetadataValue, Model } from "../../model/model.ts";

/**
 * Reads the metadata of a model by keys without the architecture's prefix. Types and ranges are checked,
 * since a file may be hostile: every number is within the bounds that its caller gives.
 */
export class Metadata {
  readonly architecture: string;
  readonly #values: Model["metadata"];

  /** @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` when there is no architecture. */
  constructor(values: Model["metadata"]) {
    this.#values = values;
    const architecture = values["general.architecture"];
    if (typeof architecture !== "string" || architecture === "") {
      throw invalid("general.architecture", "missing: a placement needs the metadata of a GGUF");
    }
    this.architecture = architecture;
  }

  /** The value of `{architecture}.{key}`, or of `key` itself when it begins with an underscore. */
  value(key: string): MetadataValue | undefined {
    return this.#values[this.#full(key)];
  }

  /**
   * A whole number in `[least, most]`, or `fallback` when the key is absent.
   *
   * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` for anything else.
   */
  count(key: string, fallback: number | undefined, least: number, most: number): number {
    const value = this.value(key);
    if (value === undefined) {
      if (fallback !== undefined) return fallback;
      throw invalid(this.#full(key), "missing");
    }
    const count = typeof value === "bigint" ? Number(value) : value;
    if (typeof count !== "number" || !Number.isSafeInteger(count)) {
      throw invalid(this.#full(key), `${describe(value)} is not a whole number`);
    }
    if (count < least || count > most) {
      throw invalid(this.#full(key), `${count} is not between ${least} and ${most}`);
    }
    return count;
  }

  /** @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` for anything but a boolean. */
  flag(key: string): boolean {
    const value = this.value(key);
    if (value === undefined) return false;
    if (typeof value !== "boolean") {
      throw invalid(this.#full(key), `${describe(value)} is not a boolean`);
    }
    return value;
  }

  #full(key: string): string {
    return key.startsWith("_") ? key : `${this.architecture}.${key}`;
  }
}

function describe(value: MetadataValue): string {
  return Array.isArray(value) ? "an array" : `${typeof value} ${String(value).slice(0, 40)}`;
}

export function invalid(key: string, problem: string): PrefaultError {
  return new PrefaultError("PREFAULT_INVALID_MODEL", `metadata ${key}: ${problem}`);
}
