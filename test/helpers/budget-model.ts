import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { type ModelKind, writeSyntheticModel } from "../models/synthetic-model.ts";
import { fincore } from "./data-file.ts";

/** What of a mixture of experts a test needs to know to judge what was filled. */
export interface BudgetModel {
  readonly path: string;
  readonly paths: readonly string[];
  readonly bytes: number;
  readonly layers: number;
  readonly experts: number;
}

/** A mixture whose slices are longer than a page, and lie on the disk. */
export async function writeBudgetModel(
  path: string,
  shape: {
    readonly kind?: ModelKind;
    readonly layers?: number;
    readonly experts?: number;
    readonly expertsUsed?: number;
    readonly expertFeedForward?: number;
    readonly hidden?: number;
    readonly shards?: number;
    readonly seed?: number;
  } = {},
): Promise<BudgetModel> {
  const { kind = "moe", layers = 4, experts = 16, expertsUsed = 2, ...others } = shape;
  const written = await writeSyntheticModel({
    kind,
    path,
    hidden: 256,
    expertFeedForward: 512,
    ...others,
    layers,
    experts,
    expertsUsed,
  });
  const { paths } = written;
  execFileSync("sync", [...paths]);
  const bytes = paths.reduce((sum, each) => sum + sizeOf(each), 0);
  return { path: paths[0] ?? path, paths, bytes, layers, experts };
}

/** Counts that fall by Zipf's law, in an order of each layer's own. */
export function writeCsvProfile(
  path: string,
  model: BudgetModel,
  skew: number,
  seed: number,
): void {
  const lines = ["layer,expert,count"];
  for (let layer = 0; layer < model.layers; layer++) {
    for (let rank = 0; rank < model.experts; rank++) {
      // An odd step goes through all experts of a power of two.
      const expert = (rank * 5 + layer * 3 + seed) % model.experts;
      lines.push(`${layer},${expert},${Math.round(10_000 * (rank + 1) ** -skew)}`);
    }
  }
  writeFileSync(path, `${lines.join("\n")}\n`);
}

/** Bytes of all files in the page cache, by fincore. */
export function cachedBytes(paths: readonly string[]): number {
  return paths.reduce((sum, path) => sum + (fincore(path) ?? Number.NaN), 0);
}

function sizeOf(path: string): number {
  return Number(execFileSync("stat", ["-L", "-c", "%s", path], { encoding: "utf8" }));
}
