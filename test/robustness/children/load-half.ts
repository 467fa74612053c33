/** Stands for an engine that copies half of a model to a GPU, beside `withPrefault`; says what is resident then. */
import { openSync, readSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openModel, planPass, residency } from "prefault";
import { type PrefaultReport, withPrefault } from "prefault/node-llama-cpp";

interface Argument {
  readonly path: string;
  /** As given to the load. */
  readonly gpuLayers: number | "auto";
  /** As the load decides. */
  readonly loadedLayers: number;
  readonly useMmap: boolean;
  /** Whether the options say so too. */
  readonly isAsked?: boolean;
}

const argument = JSON.parse(process.argv[2] ?? "") as Argument;
const { path, gpuLayers, loadedLayers, useMmap, isAsked = false } = argument;

/** All of a file through the page cache. */
async function load() {
  const buffer = Buffer.alloc(1024 ** 2);
  const fd = openSync(path, "r");
  const { size } = statSync(path);
  for (let offset = 0; offset < size; offset += buffer.length) {
    readSync(fd, buffer, 0, buffer.length, offset);
    await new Promise(setImmediate);
  }
  return { gpuLayers: loadedLayers, useMmap };
}

const log: string[] = [];
const reports: PrefaultReport[] = [];
const how = {
  log: (line: string) => void log.push(line),
  onReport: (r: PrefaultReport) => void reports.push(r),
};
await withPrefault({ modelPath: path, gpuLayers, ...(isAsked && { useMmap }) }, load, how);
// A sweep may go on after the load.
while (reports.length === 0) await sleep(10);

const { runs, elsewhere, model } = planPass(await openModel(path), { gpuLayers: loadedLayers });
const shareOf = async (
  tensors: readonly { offset: number; byteLength: number; file: number }[],
) => {
  const regions = tensors.map(({ file, offset, byteLength }) => {
    return { path: model.files[file]?.path ?? "", offset, byteLength };
  });
  const { residentBytes, bytes } = await residency(regions);
  return (residentBytes ?? Number.NaN) / bytes;
};
const onCpu = await shareOf(runs.flatMap(({ regions }) => regions.map(({ tensor }) => tensor)));
const onGpu = await shareOf(elsewhere.map(({ tensor }) => tensor));
const [{ ran, reason } = {}] = reports;
console.log(JSON.stringify({ log, ran, reason, onCpu, onGpu }));
