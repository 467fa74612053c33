import { access, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { PrefaultError } from "../errors.ts";
import type { Placement } from "../passes/index.ts";
import { type CommandLine, type Environment, readCommandLine } from "./command-line.ts";
import type { Mount } from "./containers.ts";
import { type EngineName, passOf } from "./engines.ts";
import { askFitParams, findFitParams, fitArguments } from "./fit-params.ts";
import { parseIni } from "./ini.ts";
import type { Launch, LaunchPart, LaunchRole } from "./launch.ts";
import { isOfIk, LLAMA } from "./llama-options.ts";
import { loadNotes } from "./load-notes.ts";
import { type CachedModel, findCached } from "./model-cache.ts";
import type { OptionTable } from "./options.ts";
import { BENCH, KOBOLDCPP, LLAMA_CPP_PYTHON, LLAMAFILE, OLLAMA, RUN } from "./other-options.ts";
import {
  hasOverrides,
  type LayerCount,
  type LinePlacement,
  placementOfDraft,
  placementOfModel,
} from "./placement-of-line.ts";
import {
  type Positional,
  parseWhole,
  readEnvironment,
  readKeys,
  readWords,
  unknownVariables,
  usage,
} from "./read-options.ts";
import { Settings } from "./settings.ts";

/** What reading a line needs besides the line. */
export interface LaunchContext {
  /** The environment that the engine would be started in. */
  readonly env: Environment;
  /** What the user knows better than the line: each field of it goes before the line's. */
  readonly placement?: Placement;
  /** Files that stand for the line's model, which may then be missing. */
  readonly operands?: readonly string[];
  readonly signal?: AbortSignal;
}

const TABLES: Readonly<Record<EngineName, OptionTable>> = {
  "llama.cpp": LLAMA,
  "ik_llama.cpp": LLAMA,
  "llama-bench": BENCH,
  "llama-run": RUN,
  koboldcpp: KOBOLDCPP,
  "llama-cpp-python": LLAMA_CPP_PYTHON,
  llamafile: LLAMAFILE,
  ollama: OLLAMA,
};

/** One thing that the line loads: a line has one, a preset file one for each section. */
interface Load {
  /** For notes, when there are several. */
  readonly name: string;
  readonly settings: Settings;
}

/**
 * Reads a command line of an engine: which files it loads, and what of them stays on the CPU.
 *
 * Looks at the file system for presets, caches and mounts, and asks `llama-fit-params`, where it is
 * installed, about layers that the line leaves to the engine.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for a line that cannot be understood or that
 *   leaves open what must be known, `PREFAULT_NOT_FOUND` for a model that is in no local cache
 */
export async function readLaunch(
  words: readonly string[],
  context: LaunchContext,
): Promise<Launch> {
  const line = readCommandLine(words, context.env);
  if (line === undefined) {
    throw usage("what follows -- is no command line of an engine that is known, and no file");
  }
  return new LaunchReader(line, context).read();
}

class LaunchReader {
  readonly #line: CommandLine;
  readonly #context: LaunchContext;
  readonly #engine: EngineName;
  readonly #table: OptionTable;
  readonly #notes: string[] = [];

  constructor(line: CommandLine, context: LaunchContext) {
    this.#line = line;
    this.#context = context;
    const isIk = line.engine === "llama.cpp" && isOfIk(line.args);
    this.#engine = isIk ? "ik_llama.cpp" : line.engine;
    this.#table = TABLES[this.#engine];
  }

  async read(): Promise<Launch> {
    const { engine, program } = { engine: this.#engine, program: this.#line.program };
    const args = this.#arguments();
    if (this.#line.isGuess && program !== "") {
      this.#notes.push(`${program} is not known: its flags are read as those of llama.cpp`);
    }
    const given = readWords(args, this.#table);
    const own = await this.#ownEnvironment();
    const inherited = this.#line.hidesEnvironment ? {} : this.#context.env;
    this.#unknown([...given.unknown, ...unknownVariables({ ...inherited, ...own }, this.#table)]);
    const settings = new Settings([
      given.source,
      readEnvironment(own, this.#table),
      readEnvironment(inherited, this.#table),
    ]);
    const loads = await this.#loads(settings);
    const parts: LaunchPart[] = [];
    for (const load of loads) parts.push(...(await this.#partsOf(load, given.positionals, loads)));
    parts.push(...(await this.#leftOver(given.positionals, parts)));
    this.#notes.push(...new Set(loads.flatMap((load) => loadNotes(engine, load.settings))));
    const first = loads[0]?.settings ?? settings;
    const port = first.last("port");
    return {
      engine,
      program,
      parts,
      notes: [...new Set(this.#notes)],
      host: first.text("host"),
      port: port && parseWhole(port),
      apiPrefix: first.text("apiPrefix"),
      warmsUp: first.isOn("warmup") ?? true,
      defersExperts: first.isOn("deferExperts") ?? false,
    };
  }

  #arguments(): readonly string[] {
    const { args } = this.#line;
    if (this.#engine !== "ollama") return args;
    if (args[0] === "runner") return args.slice(1);
    throw usage(
      "ollama's own line does not say what is loaded: give the model file, or the line of the runner " +
        'that ps shows ("ollama runner --model … --n-gpu-layers …")',
    );
  }

  /** Variables of the line and of the files that it names, those of the line last. */
  async #ownEnvironment(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const path of this.#line.envFiles) {
      for (const text of (await this.#file(path)).split(/\r?\n/)) {
        const entry = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(text);
        if (entry !== null) found[entry[1] ?? ""] = entry[2] ?? "";
      }
    }
    return { ...found, ...this.#line.env };
  }

  /** What is loaded by the line itself, by each section of a preset, or by a file of settings. */
  async #loads(settings: Settings): Promise<Load[]> {
    const preset = settings.text("modelsPreset");
    const config = settings.text("config");
    if (preset !== undefined) return this.#presetLoads(preset, settings);
    if (config !== undefined && this.#engine === "koboldcpp") {
      return [{ name: "", settings: await this.#kcpps(config, settings) }];
    }
    if (config !== undefined && this.#engine === "llama-cpp-python") {
      return this.#pythonLoads(config, settings);
    }
    if (this.#engine === "llama-bench") {
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

  async #presetLoads(path: string, settings: Settings): Promise<Load[]> {
    const sections = parseIni(await this.#file(path), path);
    const common = sections.find(({ name }) => name === "*")?.entries ?? [];
    const read = (entries: typeof common, where: string) => {
      const { source, unknown } = readKeys(entries, this.#table, where);
      this.#unknown(unknown);
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
        // A section that is called like a repository stands for the cached model of that name.
        const source = new Map([["hfRepo" as const, [{ value: name, by: `[${name}]`, at: 0 }]]]);
        loads.push({ name, settings: own.over(source) });
      } else if (name !== "" && name !== "default") {
        this.#notes.push(`${path}: section [${name}] names no model`);
      }
    }
    if (loads.length === 0) throw usage(`${path} names no model in any section`);
    return loads;
  }

  /** koboldcpp's settings file goes before what the line says. */
  async #kcpps(path: string, settings: Settings): Promise<Settings> {
    const { source, unknown } = readKeys(
      entriesOf(await this.#json(path)),
      this.#table,
      `${path}:`,
    );
    this.#unknown(unknown);
    return new Settings([source, ...settings.sources]);
  }

  async #pythonLoads(path: string, settings: Settings): Promise<Load[]> {
    const config = await this.#json(path);
    const models = Array.isArray(config["models"]) ? config["models"] : [];
    if (models.length === 0) throw usage(`${path} names no models`);
    return models.map((each: unknown) => {
      const { source } = readKeys(entriesOf(each), this.#table, `${path}:`);
      return { name: source.get("model")?.[0]?.value ?? "", settings: settings.over(source) };
    });
  }

  async #partsOf(
    { name, settings }: Load,
    positionals: readonly Positional[],
    loads: readonly Load[],
  ): Promise<LaunchPart[]> {
    const prefix = loads.length > 1 ? `${name}: ` : "";
    let found: CachedModel | undefined;
    try {
      found = await this.#modelOf(settings, positionals);
    } catch (error) {
      const isMissing = PrefaultError.is(error) && error.code === "PREFAULT_NOT_FOUND";
      if (!isMissing || loads.length === 1) throw error;
      // One section of several: the others go on.
      this.#notes.push(`${prefix}${error.message}`);
      return [];
    }
    const stands = this.#context.operands ?? [];
    const placed = placementOfModel(this.#engine, settings);
    const models = [...new Set([...stands, ...(found === undefined ? [] : [found.model])])];
    if (models.length === 0) {
      throw usage(
        "the command line names no model: none of -m, -hf, LLAMA_ARG_MODEL and their like is in it",
      );
    }
    const parts: LaunchPart[] = [];
    for (const path of models) {
      const { placement, notes } = await this.#resolve(path, placed, settings);
      parts.push(this.#part("model", path, placement, [...placed.notes, ...notes], prefix));
    }
    parts.push(...(await this.#draftOf(settings, prefix)));
    parts.push(...(await this.#companionsOf(settings, found?.mmproj, prefix)));
    return parts;
  }

  #part(
    role: LaunchRole,
    path: string,
    placement: Placement | undefined,
    notes: readonly string[] = [],
    prefix = "",
  ): LaunchPart {
    const said = notes.map((note) => prefix + note);
    return { role, path, placement, pass: passOf(this.#engine), notes: said };
  }

  /** The file of the model that a line or a section names. */
  async #modelOf(
    settings: Settings,
    positionals: readonly Positional[],
  ): Promise<CachedModel | undefined> {
    const file = settings.text("model");
    const url = settings.text("modelUrl");
    const repo = settings.text("hfRepo") ?? repoOfUrl(url)?.repo;
    const engine = this.#engine;
    if (
      repo !== undefined &&
      !(engine === "llama.cpp" && file !== undefined && (await this.#has(file)))
    ) {
      const wanted =
        engine === "llama-cpp-python" ? file : (settings.text("hfFile") ?? repoOfUrl(url)?.file);
      return findCached({ repo, file: wanted }, await this.#cacheEnvironment(), (path) =>
        hostPath(path, this.#line.mounts),
      );
    }
    if (file !== undefined) return this.#named(file);
    for (const [flag, value] of [
      ["--model-url", url],
      ["--docker-repo", settings.text("dockerRepo")],
    ]) {
      if (value !== undefined) {
        throw usage(`${flag} ${value}: what was downloaded for it is not looked up; give the file`);
      }
    }
    const folder = settings.text("modelsDir");
    if (folder !== undefined) return this.#named(folder);
    const first = positionals[0]?.word;
    if (engine === "llama-run" && first !== undefined) return this.#runModel(first);
    if (engine === "koboldcpp" && first !== undefined) return this.#named(first);
    if (engine === "llamafile" && /\.llamafile(\.exe)?$/i.test(this.#line.program)) {
      return this.#named(this.#line.program);
    }
    return undefined;
  }

  async #runModel(text: string): Promise<CachedModel> {
    const hub = /^(?:hf|huggingface):\/\/([^/]+\/[^/]+)(?:\/(.+))?$/.exec(text);
    if (hub !== null) {
      return findCached({ repo: hub[1] ?? "", file: hub[2] }, await this.#cacheEnvironment());
    }
    const path = text.replace(/^file:\/\//, "");
    if (/^\w+:\/\//.test(path) || !(await this.#has(path))) {
      throw usage(`llama-run ${text}: no such file, and what it would download is not looked up`);
    }
    return this.#named(path);
  }

  /** A file as the line has it, or as the host has it when a container sees it elsewhere. */
  async #named(path: string): Promise<CachedModel> {
    const local = await this.#localPath(path);
    if (local !== undefined) return { model: local, mmproj: undefined };
    const isReplaced = (this.#context.operands ?? []).length > 0;
    if (this.#line.mounts.length === 0 && !this.#line.hidesEnvironment && !isReplaced) {
      // Opening it says what is wrong with it.
      return { model: this.#inFolder(path), mmproj: undefined };
    }
    if (isReplaced) {
      this.#notes.push(`${path} of the line is not here: the files given before it stand for it`);
      return { model: this.#context.operands?.[0] ?? path, mmproj: undefined };
    }
    throw new PrefaultError(
      "PREFAULT_NOT_FOUND",
      `${path}: no such file; it is a path inside the container, and no -v of the line leads to it: ` +
        "give the file of the host before --",
      { path },
    );
  }

  async #draftOf(settings: Settings, prefix: string): Promise<LaunchPart[]> {
    const repo = settings.text("draftHfRepo");
    const file = settings.text("draftModel");
    if (repo === undefined && file === undefined) return [];
    const { model } =
      file !== undefined
        ? await this.#named(file)
        : await findCached({ repo: repo ?? "" }, await this.#cacheEnvironment());
    const { layers, placement, notes } = placementOfDraft(this.#engine, settings);
    const isOpen = layers.kind !== "known";
    const note = "the draft model: which of its layers are on the GPU is not said (-ngld N), so ";
    return [
      this.#part(
        "draft",
        model,
        { ...placement, gpuLayers: layers.kind === "known" ? layers.layers : 0 },
        [...notes, ...(isOpen ? [`${note}every layer is taken to be on the CPU`] : [])],
        prefix,
      ),
    ];
  }

  /** Files that the engine reads whole while it loads. */
  async #companionsOf(
    settings: Settings,
    beside: string | undefined,
    prefix: string,
  ): Promise<LaunchPart[]> {
    const parts: LaunchPart[] = [];
    const add = async (role: LaunchRole, path: string, notes: readonly string[] = []) => {
      parts.push(this.#part(role, (await this.#named(path)).model, undefined, notes, prefix));
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
        this.#part(
          "mmproj",
          beside,
          undefined,
          ["the projector beside the model is loaded too", ...notes],
          prefix,
        ),
      );
    }
    if (settings.has("mmprojUrl")) {
      this.#notes.push("--mmproj-url: what was downloaded for it is not looked up, and not warmed");
    }
    for (const { value } of settings.all("lora")) await add("lora", await this.#unscaled(value));
    for (const { value } of settings.all("controlVector")) {
      await add("control vector", await this.#unscaled(value));
    }
    for (const { value } of settings.all("companion")) await add("companion", value);
    return parts;
  }

  /** `FILE:SCALE`, or a file whose name has a colon. */
  async #unscaled(text: string): Promise<string> {
    return (await this.#has(text)) ? text : text.replace(/:[-+]?[\d.]+$/, "");
  }

  /** A word that names a file is never dropped. */
  async #leftOver(
    positionals: readonly Positional[],
    parts: readonly LaunchPart[],
  ): Promise<LaunchPart[]> {
    const found: LaunchPart[] = [];
    for (const { word, isUncertain } of positionals) {
      if (isUncertain && !/\.gguf$/i.test(word)) continue;
      const path = await this.#localPath(word);
      const isPort = this.#engine === "koboldcpp" && /^\d+$/.test(word);
      if (path === undefined || isPort || parts.some((part) => part.path === path)) continue;
      const first = parts.find(({ role }) => role === "model");
      const note = `${word} is not the value of a flag that is known: it is planned like the model`;
      found.push(this.#part("other", path, first?.placement, [note]));
    }
    return found;
  }

  /** Puts a number in place of layers that the engine would choose. */
  async #resolve(
    path: string,
    { layers, placement }: LinePlacement,
    settings: Settings,
  ): Promise<{ placement: Placement; notes: string[] }> {
    const own = this.#context.placement ?? {};
    const merged: Placement = {
      ...placement,
      ...own,
      ...(own.overrides && { overrides: [...own.overrides, ...(placement.overrides ?? [])] }),
      ...(own.lateOverrides && {
        lateOverrides: [...own.lateOverrides, ...(placement.lateOverrides ?? [])],
      }),
    };
    if (own.gpuLayers !== undefined) return { placement: merged, notes: [] };
    if (layers.kind === "known") {
      return { placement: { ...merged, gpuLayers: layers.layers }, notes: [] };
    }
    const notes: string[] = [];
    const canAsk = this.#engine === "llama.cpp" && !hasOverrides(merged);
    const tool = canAsk ? await findFitParams(this.#line.program, this.#context.env) : undefined;
    if (tool !== undefined) {
      const env = { ...this.#context.env, ...this.#line.env };
      const fit = await askFitParams(tool, fitArguments(path, settings), env, this.#context.signal);
      if (typeof fit !== "string") {
        return {
          placement: { ...merged, gpuLayers: fit.gpuLayers, overrides: fit.overrides },
          notes: [`the layers are as ${tool} answers now: -ngl ${fit.gpuLayers}`],
        };
      }
      if (layers.kind === "auto") throw usage(`${layers.by}: ${fit}; ${GIVE_THE_NUMBER}`);
      notes.push(fit);
    }
    if (layers.kind === "auto") throw usage(adviceOn(layers, this.#engine));
    return { placement: merged, notes: [...notes, openLayersNote(this.#engine, merged)] };
  }

  async #localPath(path: string): Promise<string | undefined> {
    const { mounts, folder } = this.#line;
    const inFolder = this.#inFolder(path);
    // Relative to where the container starts, which most images leave at the root.
    const inside = path.startsWith("/") ? path : join(folder ?? "/", path);
    const places = [inFolder, hostPath(inside, mounts), hostPath(join("/", path), mounts)];
    for (const place of places) if (await exists(place)) return place;
    return undefined;
  }

  async #has(path: string): Promise<boolean> {
    return (await this.#localPath(path)) !== undefined;
  }

  #inFolder(path: string): string {
    const { folder, hidesEnvironment } = this.#line;
    return folder === undefined || hidesEnvironment ? path : resolve(folder, path);
  }

  async #cacheEnvironment(): Promise<Environment> {
    const own = await this.#ownEnvironment();
    if (!this.#line.hidesEnvironment) return { ...this.#context.env, ...own };
    // A container's caches are where its mounts lead, or the caller's own.
    const isMounted = this.#line.mounts.some(({ container }) => container.startsWith("/root"));
    return { ...this.#context.env, ...(isMounted && { HOME: "/root" }), ...own };
  }

  async #file(path: string): Promise<string> {
    const local = (await this.#localPath(path)) ?? path;
    try {
      return await readFile(local, "utf8");
    } catch (cause) {
      const errno = (cause as NodeJS.ErrnoException).code;
      throw new PrefaultError(
        errno === "ENOENT" ? "PREFAULT_NOT_FOUND" : "PREFAULT_READ_FAILED",
        `${path} of the command line cannot be read: ${errno ?? String(cause)}`,
        { path, errno, cause },
      );
    }
  }

  async #json(path: string): Promise<Record<string, unknown>> {
    const text = await this.#file(path);
    try {
      const parsed: unknown = JSON.parse(text);
      if (typeof parsed === "object" && parsed !== null) return parsed as Record<string, unknown>;
    } catch (cause) {
      throw usage(`${path} is no JSON`, cause);
    }
    throw usage(`${path} holds no settings`);
  }

  #unknown(names: readonly string[]): void {
    for (const name of names) {
      this.#notes.push(
        `${name} is not known here: if it decides where weights go, the plan misses it`,
      );
    }
  }
}

const GIVE_THE_NUMBER =
  'give the number that the engine logs as "offloaded N/M layers", as -ngl N before --';

/** What to do about layers that only the engine knows. */
export function adviceOn(layers: LayerCount & { kind: "auto" }, engine: EngineName): string {
  const says = `${layers.by}: the engine decides by the free VRAM while it loads`;
  return engine === "llama.cpp"
    ? `${says}. Install llama-fit-params, which comes with llama.cpp, on PATH or beside the engine, and it ` +
        `is asked; or ${GIVE_THE_NUMBER}`
    : `${says}; ${GIVE_THE_NUMBER}`;
}

/** Said where no number of layers was given. */
export function openLayersNote(engine: EngineName, placement: Placement): string {
  const taken = "no -ngl was given, so every layer is taken to be on the CPU; ";
  if (engine === "llama.cpp" && hasOverrides(placement)) {
    return (
      `${taken}a recent llama.cpp puts every layer on the GPU when tensors are placed by hand: ` +
      "give -ngl all then"
    );
  }
  return `${taken}a recent ${engine === "koboldcpp" ? engine : "llama.cpp"} chooses by itself: give the number it logs as "offloaded N/M layers"`;
}

function repoOfUrl(url: string | undefined): { repo: string; file: string } | undefined {
  const found =
    /^https?:\/\/(?:www\.)?huggingface\.co\/([^/]+\/[^/]+)\/(?:resolve|blob)\/[^/]+\/([^?]+)/.exec(
      url ?? "",
    );
  return found === null ? undefined : { repo: found[1] ?? "", file: found[2] ?? "" };
}

/** Where a path of a container lies on the host, by the mount that fits it best. */
function hostPath(path: string, mounts: readonly Mount[]): string {
  const fitting = mounts
    .filter(({ container }) => `${path}/`.startsWith(`${container.replace(/\/$/, "")}/`))
    .sort((one, other) => other.container.length - one.container.length)[0];
  if (fitting === undefined) return path;
  return join(fitting.host, path.slice(fitting.container.replace(/\/$/, "").length));
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

/** Fields of a JSON object as keys and texts; empty ones say nothing. */
function entriesOf(fields: unknown): (readonly [string, string])[] {
  if (typeof fields !== "object" || fields === null) return [];
  return Object.entries(fields).flatMap(([key, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((each) => each !== null && each !== "" && typeof each !== "object")
      .map((each) => [key, String(each)] as const),
  );
}
