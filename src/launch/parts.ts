import { PrefaultError } from "../errors.ts";
import type { LlamaPlacement } from "../passes/index.ts";
import { passOf } from "./engines.ts";
import { usage } from "./given.ts";
import type { LaunchPart, LaunchRole } from "./launch.ts";
import { decideLayers } from "./layers.ts";
import type { Load } from "./loads.ts";
import type { CachedModel } from "./model-cache.ts";
import { cached, modelOf, named } from "./model-of-line.ts";
import { placementOfDraft, placementOfModel } from "./placement-of-line.ts";
import type { Positional } from "./read-words.ts";
import type { Reading } from "./reading.ts";
import type { Settings } from "./settings.ts";

/** Lists the files that one model of the line needs. */
export async function partsOf(
  reading: Reading,
  { name, settings }: Load,
  positionals: readonly Positional[],
  loads: readonly Load[],
): Promise<LaunchPart[]> {
  const prefix = loads.length > 1 ? `${name}: ` : "";
  let found: CachedModel | undefined;
  try {
    found = await modelOf(reading, settings, positionals);
  } catch (error) {
    const isMissing = PrefaultError.is(error) && error.code === "PREFAULT_NOT_FOUND";
    if (!isMissing || loads.length === 1) throw error;
    // Other sections may still have models that are here.
    reading.notes.push(`${prefix}${error.message}`);
    return [];
  }
  const stands = reading.context.operands ?? [];
  const placed = placementOfModel(reading.engine, settings);
  const models = [...new Set([...stands, ...(found === undefined ? [] : [found.model])])];
  if (models.length === 0) {
    throw usage(
      "the command line names no model: none of -m, -hf, LLAMA_ARG_MODEL and their like is in it",
    );
  }
  const parts: LaunchPart[] = [];
  for (const path of models) {
    const { placement, notes } = await decideLayers(reading, path, placed, settings);
    parts.push(part(reading, "model", path, placement, [...placed.notes, ...notes], prefix));
  }
  parts.push(...(await draftOf(reading, settings, prefix)));
  parts.push(...(await companionsOf(reading, settings, found?.mmproj, prefix)));
  return parts;
}

function part(
  reading: Reading,
  role: LaunchRole,
  path: string,
  placement: LlamaPlacement | undefined,
  notes: readonly string[] = [],
  prefix = "",
): LaunchPart {
  const said = notes.map((note) => prefix + note);
  return { role, path, placement, pass: passOf(reading.engine), notes: said };
}

async function draftOf(
  reading: Reading,
  settings: Settings,
  prefix: string,
): Promise<LaunchPart[]> {
  const repo = settings.text("draftHfRepo");
  const file = settings.text("draftModel");
  if (repo === undefined && file === undefined) return [];
  const { model } =
    file !== undefined ? await named(reading, file) : await cached(reading, { repo: repo ?? "" });
  const { layers, placement, notes } = placementOfDraft(reading.engine, settings);
  const isOpen = layers.kind !== "known";
  const note = "the draft model: which of its layers are on the GPU is not said (-ngld N), so ";
  return [
    part(
      reading,
      "draft",
      model,
      { ...placement, gpuLayers: layers.kind === "known" ? layers.layers : 0 },
      [...notes, ...(isOpen ? [`${note}every layer is taken to be on the CPU`] : [])],
      prefix,
    ),
  ];
}

/** Files that the engine reads as a whole while it loads. */
async function companionsOf(
  reading: Reading,
  settings: Settings,
  beside: string | undefined,
  prefix: string,
): Promise<LaunchPart[]> {
  const parts: LaunchPart[] = [];
  const add = async (role: LaunchRole, path: string, notes: readonly string[] = []) => {
    parts.push(part(reading, role, (await named(reading, path)).model, undefined, notes, prefix));
  };
  const device = settings.text("mmprojDevice") ?? settings.text("device");
  const isOnCpu = settings.isOn("mmprojOffload") === false || device === "none";
  const note =
    "the projector goes to the GPU: warming it helps the load only (--no-mmproj-offload)";
  const notes = isOnCpu ? [] : [note];
  const projectors = settings.all("mmproj").map(({ value }) => value);
  for (const path of projectors) await add("mmproj", path, notes);
  if (projectors.length === 0 && beside !== undefined && settings.isOn("mmprojAuto") !== false) {
    parts.push(
      part(
        reading,
        "mmproj",
        beside,
        undefined,
        ["the projector beside the model is loaded too", ...notes],
        prefix,
      ),
    );
  }
  if (settings.has("mmprojUrl")) {
    reading.notes.push(
      "--mmproj-url: the file that it downloads is not searched for, and not warmed",
    );
  }
  for (const { value } of settings.all("lora")) await add("lora", await unscaled(reading, value));
  for (const { value } of settings.all("controlVector")) {
    await add("control vector", await unscaled(reading, value));
  }
  for (const { value } of settings.all("companion")) await add("companion", value);
  return parts;
}

/** The file in `FILE:SCALE`. A file whose name has a colon is tried first. */
async function unscaled(reading: Reading, text: string): Promise<string> {
  return (await reading.files.has(text)) ? text : text.replace(/:[-+]?[\d.]+$/, "");
}

/** Adds the files that are named by words which are neither flags nor known values. */
export async function leftOver(
  reading: Reading,
  positionals: readonly Positional[],
  parts: readonly LaunchPart[],
): Promise<LaunchPart[]> {
  const found: LaunchPart[] = [];
  for (const { word, isUncertain } of positionals) {
    if (isUncertain && !/\.gguf$/i.test(word)) continue;
    const path = await reading.files.find(word);
    const isPort = reading.engine === "koboldcpp" && /^\d+$/.test(word);
    if (path === undefined || isPort || parts.some((part) => part.path === path)) continue;
    const first = parts.find(({ role }) => role === "model");
    const note = `${word} is not the value of a known flag: it is planned like the model`;
    found.push(part(reading, "other", path, first?.placement, [note]));
  }
  return found;
}
