import { join } from "node:path";
import { evict } from "prefault";
import type { PrefaultReport } from "prefault/node-llama-cpp";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { until } from "./process-facts.ts";

/** Bytes of a model, unless a test asks for another length. */
export const BYTES = 64 * 1024 ** 2;

/** Makes models in a folder, of which nothing is resident. */
export const coldModels = (folder: string) =>
  async function coldModel(name: string, targetBytes = BYTES): Promise<string> {
    const modelPath = join(folder, `${name}.gguf`);
    await writeSyntheticModel({ kind: "dense", path: modelPath, layers: 4, targetBytes });
    await evict(modelPath);
    return modelPath;
  };

/** What to give besides the load, and the reports that come of it. */
export function watched() {
  const reports: PrefaultReport[] = [];
  const log: string[] = [];
  const how = {
    gate: "always",
    onReport: (report: PrefaultReport) => void reports.push(report),
    log: (line: string) => void log.push(line),
  } as const;
  const reported = async (count = 1) => {
    await until(() => reports.length >= count, `${count} reports came`);
    return reports;
  };
  return { how, log, reports, reported };
}

/** What a load gives whose model is mapped and has no layer on a GPU. */
export const loaded = { gpuLayers: 0, useMmap: true };
