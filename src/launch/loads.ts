import { usage } from "./given.ts";
import { parseIni } from "./ini.ts";
import { readKeys } from "./read-keys.ts";
import { noteUnknown, type Reading } from "./reading.ts";
import { Settings } from "./settings.ts";

/** One model that the line loads: a line has one, a preset file one for each section. */
export interface Load {
  /** For notes, when there are several. */
  readonly name: string;
  readonly settings: Settings;
}

/** Lists the models of the line itself, of each section of its presets, or of its file of settings. */
export async function readLoads(reading: Reading, settings: Settings): Promise<Load[]> {
  const preset = settings.text("modelsPreset");
  const config = settings.text("config");
  if (preset !== undefined) return presetLoads(reading, preset, settings);
  if (config !== undefined && reading.engine === "koboldcpp") {
    return [{ name: "", settings: await kcpps(reading, config, settings) }];
  }
  if (config !== undefined && reading.engine === "llama-cpp-python") {
    return pythonLoads(reading, config, settings);
  }
  if (reading.engine === "llama-bench") {
    const models = settings.all("model");
    if (models.length > 1) {
      return models.map((each) => {
        const source = new Map([["model" as const, [each]]]);
        return { name: each.value, settings: new Settings([source, ...settings.sources]) };
      });
    }
  }
  return [{ name: "", settings }];
}

async function presetLoads(reading: Reading, path: string, settings: Settings): Promise<Load[]> {
  const sections = parseIni(await reading.files.text(path), path);
  const common = sections.find(({ name }) => name === "*")?.entries ?? [];
  const read = (entries: typeof common, where: string) => {
    const { source, unknown } = readKeys(entries, reading.table, where);
    noteUnknown(reading, unknown);
    return source;
  };
  const global = read(common, `${path} [*]`);
  const loads: Load[] = [];
  for (const { name, entries } of sections) {
    if (name === "*" || (name === "" && entries.every(([key]) => key === "version"))) continue;
    const own = settings.over(read(entries, `${path} [${name}]`)).over(global);
    const isNamed = ["model", "hfRepo", "modelUrl", "dockerRepo"] as const;
    if (isNamed.some((each) => own.has(each))) {
      loads.push({ name, settings: own });
    } else if (/^[\w.-]+\/[\w.-]+(:[\w.-]+)?$/.test(name)) {
      // A section with the name of a repository means the cached model of that repository.
      const source = new Map([["hfRepo" as const, [{ value: name, by: `[${name}]`, at: 0 }]]]);
      loads.push({ name, settings: own.over(source) });
    } else if (name !== "" && name !== "default") {
      reading.notes.push(`${path}: section [${name}] names no model`);
    }
  }
  if (loads.length === 0) throw usage(`${path} names no model in any section`);
  return loads;
}

/** A settings file of koboldcpp is stronger than the line. */
async function kcpps(reading: Reading, path: string, settings: Settings): Promise<Settings> {
  const { source, unknown } = readKeys(
    entriesOf(await reading.files.json(path)),
    reading.table,
    `${path}:`,
  );
  noteUnknown(reading, unknown);
  return new Settings([source, ...settings.sources]);
}

async function pythonLoads(reading: Reading, path: string, settings: Settings): Promise<Load[]> {
  const config = await reading.files.json(path);
  const models = Array.isArray(config["models"]) ? config["models"] : [];
  if (models.length === 0) throw usage(`${path} names no models`);
  return models.map((each: unknown) => {
    const { source } = readKeys(entriesOf(each), reading.table, `${path}:`);
    return { name: source.get("model")?.[0]?.value ?? "", settings: settings.over(source) };
  });
}

/** The fields of a JSON object as keys and texts, without empty ones. */
function entriesOf(fields: unknown): (readonly [string, string])[] {
  if (typeof fields !== "object" || fields === null) return [];
  return Object.entries(fields).flatMap(([key, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((each) => each !== null && each !== "" && typeof each !== "object")
      .map((each) => [key, String(each)] as const),
  );
}
