/**
 * The main job on real input: makes a mixture-of-experts GGUF of about 1 GiB, reads it cold the way
 * a decoder does, evicts it, makes it resident with prefault, and reads it again.
 */
import { execFile } from "node:child_process";
import { statfsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { evict, prefault, residency } from "prefault";
import { drawMap } from "../src/cli/residency-map.ts";
import { formatBytes } from "../src/units.ts";
import { writeSyntheticModel } from "../test/models/synthetic-model.ts";
import { temporaryFolder } from "./temp-folder.ts";

const MODEL_BYTES = 1024 ** 3;
const TOKENS = 5;

const folder = temporaryFolder();
const { bavail, bsize } = statfsSync(folder);
if (bavail * bsize < 1.2 * MODEL_BYTES) {
  console.error(`The demo needs ${formatBytes(1.2 * MODEL_BYTES)} in ${folder}.`);
  process.exit(1);
}

const path = join(folder, "demo-moe.gguf");
/** As a region: looked at without reading the header, which would be resident afterwards. */
const wholeFile = [{ path }];
say(`Making a mixture-of-experts model of about ${formatBytes(MODEL_BYTES)}: ${path}`);
await writeSyntheticModel({ kind: "moe", path, targetBytes: MODEL_BYTES });

say("\n1. Cold: nothing is in the page cache, and the first token faults its pages from the disk.");
await evictWhole();
await showMap();
const cold = await decode();
showTokens(cold);

say("\n2. Evicted again, then made resident by prefault before anything reads it.");
await evictWhole();
await showMap();
const report = await prefault(path, { label: "demo", log: say });
await showMap();
const { strategy, workers, chunks, minorFaults, majorFaults, largeFolios } = report;
say(`   strategy ${strategy}, ${workers} workers, ${chunks} chunks, large folios: ${largeFolios}`);
say(`   faults of the workers: ${minorFaults} minor, ${majorFaults} major`);
say(
  `   resident: ${bytes(report.residentBytesBefore)} before, ${bytes(report.residentBytesAfter)} after`,
);
if (!report.ran) say(`   prefault did not run: ${report.reason}`);

say("\n3. Warm: a fresh process reads the model again.");
const warm = await decode();
showTokens(warm);

const [coldFirst = 0] = cold;
const [warmFirst = 1] = warm;
say(
  `\nFirst token: ${ms(coldFirst)} cold, ${ms(warmFirst)} after prefault: ${ratio(coldFirst / warmFirst)}.`,
);

async function evictWhole(): Promise<void> {
  const { residentBytesAfter } = await evict(wholeFile);
  if ((residentBytesAfter ?? 0) > 0) say(`   (${bytes(residentBytesAfter)} would not be evicted)`);
}

async function showMap(): Promise<void> {
  for (const file of (await residency(wholeFile)).files) {
    say(`   ${drawMap(file.map)} ${bytes(file.residentBytes)} of ${bytes(file.bytes)}`);
  }
}

/** Milliseconds of reading for each token. */
async function decode(): Promise<number[]> {
  const reader = ["--import", "tsx", "bench/decode-reader.ts", path, String(TOKENS)];
  const { stdout } = await promisify(execFile)(process.execPath, reader);
  return (JSON.parse(stdout) as { tokensMs: number[] }).tokensMs;
}

function showTokens(tokensMs: readonly number[]): void {
  say(`   reading for each token: ${tokensMs.map(ms).join(", ")}`);
}

function bytes(count: number | null): string {
  return count === null ? "an unknown part" : formatBytes(count);
}

function ms(milliseconds: number): string {
  return `${milliseconds.toFixed(milliseconds < 100 ? 1 : 0)} ms`;
}

function ratio(times: number): string {
  return `${times.toFixed(times < 10 ? 1 : 0)} times as fast`;
}

function say(line: string): void {
  console.log(line);
}
