import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openModel } from "../src/model/open-model.ts";
import { gibPerSecond } from "../src/units.ts";
import type { Bench } from "./bench.ts";
import { rangesOfToken, seeded } from "./decode-ranges.ts";
import { runProgram } from "./process.ts";
import { median, type Sample } from "./result.ts";

/** Maps the whole file in a fresh process and touches each page: the cost for the next program. */
export async function nextMapping({ tools }: Bench, path: string): Promise<Sample> {
  if (tools.missing !== undefined) return {};
  const { stdout } = await runProgram(tools.path("next-mapping"), [path]);
  const { seconds, minorFaults } = JSON.parse(stdout) as { seconds: number; minorFaults: number };
  return { nextGibPerSecond: gibPerSecond(statSync(path).size, seconds), nextFaults: minorFaults };
}

const TOKENS = 8;

/** Writes down what each of a few tokens reads of a model, for {@link decodeTokens}. */
export async function writeTokens(bench: Bench, path: string): Promise<string> {
  const model = await openModel(path);
  const random = seeded(1);
  const words: number[] = [];
  for (let token = 0; token < TOKENS; token++) {
    const ranges = model.tensors.flatMap((tensor) => rangesOfToken(model, tensor, random));
    words.push(ranges.length, ...ranges.flatMap(({ offset, byteLength }) => [offset, byteLength]));
  }
  const list = join(bench.subjects.folder, "tokens.bin");
  writeFileSync(list, new BigUint64Array(words.map((word) => BigInt(word))));
  return list;
}

/**
 * Decodes in a fresh process. The steady token is the median of the same tokens read again, when all
 * their pages are mapped: the first token takes longer only by its page faults and reads.
 */
export async function decodeTokens(bench: Bench, path: string, list: string): Promise<Sample> {
  if (bench.tools.missing !== undefined) throw new Error(bench.tools.missing);
  const { stdout } = await runProgram(bench.tools.path("decode"), [path, list, "3"]);
  const { passes, minorFaults, majorFaults } = JSON.parse(stdout) as {
    passes: number[][];
    minorFaults: number;
    majorFaults: number;
  };
  const firstMs = passes[0]?.[0] ?? Number.NaN;
  const steadyMs = median(passes.slice(1).flat());
  return { firstMs, steadyMs, firstOverSteady: firstMs / steadyMs, minorFaults, majorFaults };
}
