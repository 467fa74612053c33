import { PrefaultError } from "../errors.ts";

/** The placement options of every engine. */
export interface CommonPlacement {
  /**
   * Layers on the GPU. Negative: all. SharpInference counts from the first layer, llama.cpp from the
   * last, with the output head before it.
   * @defaultValue `0`
   */
  readonly gpuLayers?: number;
  /**
   * Tables over 4 GiB of which a token reads a few rows.
   * @defaultValue `"exclude"`, because making one resident may evict what every token reads
   */
  readonly lazyTables?: "include" | "exclude";
}

const FLAGS = ["cpuGdn", "mtp", "reference", "repack"] as const;
const CHOICES = {
  cpuMoe: [true, false, "auto"],
  embedding: ["cpu", "gpu", "auto"],
  lazyTables: ["include", "exclude"],
} as const;

/**
 * Refuses a value of a wrong type. Numbers are checked where they are used, and unknown fields are ignored.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`, which names the option
 */
export function checkPlacement(given: object): void {
  if (typeof given !== "object" || given === null) {
    throw invalidOption("placement", given, "it must be an object");
  }
  const placement = given as Readonly<Record<string, unknown>>;
  for (const name of FLAGS) {
    const value = placement[name];
    if (value !== undefined && typeof value !== "boolean") {
      throw invalidOption(name, value, "it must be true or false");
    }
  }
  for (const [name, choices] of Object.entries(CHOICES)) {
    const value = placement[name];
    if (value !== undefined && !(choices as readonly unknown[]).includes(value)) {
      throw invalidOption(name, value, `it must be one of ${choices.join(", ")}`);
    }
  }
}

/**
 * The number of GPU layers between 0 and `most`; negative means `most`.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`
 */
export function clampGpuLayers(placement: CommonPlacement, most: number): number {
  const layers = wholeNumber("gpuLayers", placement.gpuLayers ?? 0);
  return layers < 0 ? most : Math.min(layers, most);
}

/** @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` */
export function wholeNumber(name: string, value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw invalidOption(name, value, "it must be a whole number");
}

/** @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` */
export function byteCount(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw invalidOption(name, value, "it must be a number of bytes, zero or more");
}

export function invalidOption(name: string, value: unknown, problem: string): PrefaultError {
  return new PrefaultError("PREFAULT_INVALID_OPTION", `${name} is ${shown(value)}: ${problem}`);
}

/** A value as text for a message, also where it has no JSON. */
function shown(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null)
    return Array.isArray(value) ? "a list" : "an object";
  return String(value);
}
