import { PrefaultError } from "../errors.ts";
import type { ModelIdentity } from "./identity.ts";

/** How often each routed expert of a model is chosen. */
export interface Profile {
  /** The format it was read from. What was recorded in this process counts as `json`. */
  readonly source: "imatrix" | "csv" | "json";
  /** Rows of {@link weights}. */
  readonly layers: number;
  /** Experts of a block: the longest row. */
  readonly experts: number;
  /**
   * How many times was looked: tokens, or looks at the page cache. No weight is larger than this in a
   * sound profile. `0` when the weights are an order and count nothing, `null` when nobody says.
   */
  readonly samples: number | null;
  /**
   * One row for each block of the model, by the block's number, so that leading dense blocks have
   * rows too. In a row, for each expert how many times it was chosen, or how many looks found it
   * resident (fractions count). An empty row says nothing of its block: it is dense, was not looked
   * at, or is missing.
   */
  readonly weights: readonly Float64Array[];
  /** The model it was made of, where the format says so. */
  readonly model: ModelIdentity | null;
  /**
   * Length of the input rows of each tensor, by the tensor's name, as an imatrix has them: tells two
   * models of as many layers and experts apart.
   */
  readonly inputLengths: ReadonlyMap<string, number>;
  /** What a person should know of it, one sentence each. */
  readonly notes: readonly string[];
  /** The file it was read from. */
  readonly path: string | null;
}

/** A row that says nothing. */
export const NO_ROW: Float64Array = new Float64Array(0);

/** The largest models have about 100 blocks of 512 experts. */
export const MOST_LAYERS = 10_000;
export const MOST_CELLS = 1_000_000;

/** Up to here whole numbers are exact, and a sum of as many as a profile has stays finite. */
export const MOST_WEIGHT = 2 ** 53;

/** @returns whether a number can be a weight: neither negative nor infinite nor not a number */
export function isWeight(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= MOST_WEIGHT;
}

/** The sum of a row, or of all of them. */
export function sumOf(...rows: readonly Float64Array[]): number {
  let sum = 0;
  for (const row of rows) for (const weight of row) sum += weight;
  return sum;
}

/** The one way a profile is refused. `why` goes on after "is not a usable profile:". */
export function invalidProfile(path: string | null, why: string, cause?: unknown): PrefaultError {
  return new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `${path ?? "the profile"} is not a usable profile: ${why}`,
    { path: path ?? undefined, cause },
  );
}
