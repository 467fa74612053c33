import { dirname } from "node:path";
import { PrefaultError } from "../errors.ts";
import { isFolder } from "../file/exists.ts";
import { fileIdentity } from "../file/open-file.ts";
import { type FailedPath, findModels } from "./folder.ts";
import { describeKind } from "./kind.ts";
import type { Model } from "./model.ts";
import {
  leadsNowhere,
  MOST_STEPS,
  namesNothing,
  type Opened,
  type OpenPathOptions,
  openPath,
} from "./open-model.ts";
import { INDEX_NAME } from "./stand-in.ts";

export type { FailedPath } from "./folder.ts";

/** A set of models, and the paths that could not be opened. */
export interface OpenedModels {
  /** Each once, in the order of the paths. */
  readonly models: readonly Model[];
  /** The paths that could not be opened, while others were. */
  readonly failures: readonly FailedPath[];
  /** Remarks on what was left out of the set. Each model has notes of its own. */
  readonly notes: readonly string[];
}

/** A path that waits to be opened. */
interface Waiting {
  readonly path: string;
  /** Found in a folder, and not named by the caller. */
  readonly isFound: boolean;
  /** The number of files that led to it, such as a manifest. */
  readonly steps: number;
}

/**
 * Opens every model that the paths stand for: files, folders, and files that name others. One that
 * cannot be opened is reported, and the others are opened all the same.
 *
 * @throws {@link PrefaultError} what `openModel` throws, where there is a single file and it fails;
 *   `PREFAULT_ABORTED`
 */
export async function openModels(
  paths: readonly string[],
  options: OpenPathOptions = {},
): Promise<OpenedModels> {
  const opening = new Opening(options);
  for (const path of paths) await opening.open({ path, isFound: false, steps: 0 });
  const { models, failures } = opening;
  const [only] = failures;
  if (models.length === 0 && failures.length === 1 && only !== undefined) throw only.error;
  opening.notes.push(...partNotes(models));
  return opening;
}

const SAFETENSORS_SHARD = /^(?<prefix>.*)-\d+-of-(?<total>\d+)\.safetensors$/i;

/** Notes about sets of shards of which not all were named: only an index leads to the others. */
function partNotes(models: readonly Model[]): string[] {
  const paths = models.flatMap(({ format, files }) =>
    format === "safetensors" && files.length === 1 ? files.map(({ path }) => path) : [],
  );
  const sets = new Map<string, string[]>();
  for (const path of paths) {
    const { prefix, total } = SAFETENSORS_SHARD.exec(path)?.groups ?? {};
    const key = `${prefix}-of-${total}`;
    if (Number(total) > 1) sets.set(key, [...(sets.get(key) ?? []), path]);
  }
  return [...sets].flatMap(([key, shards]) => {
    const total = Number(/\d+$/.exec(key)?.[0]);
    const what = `${shards[0]} is one of ${total} shards by its name, and ${shards.length} of them were named`;
    return shards.length < total
      ? [`${what}; name the index (*.safetensors.index.json) for all`]
      : [];
  });
}

/** One opening of a set of paths. */
class Opening implements OpenedModels {
  readonly models: Model[] = [];
  readonly failures: FailedPath[] = [];
  readonly notes: string[] = [];
  readonly #options: OpenPathOptions;
  /** Identities and paths of the files of the models that were opened. */
  readonly #covered = new Set<string>();
  readonly #paths = new Set<string>();
  /** Folders with an index that could not be opened: their shards are not opened as models of their own. */
  readonly #broken = new Set<string>();

  constructor(options: OpenPathOptions) {
    this.#options = options;
  }

  async open(waiting: Waiting): Promise<void> {
    const { path, steps } = waiting;
    try {
      if (await isFolder(path)) return await this.#openFolder(path, steps);
      if (await this.#isKnown(waiting)) return;
      const opened = await this.#read(path);
      if ("model" in opened) return this.#add(opened.model, waiting);
      if (opened.leadsTo.length === 0) return this.#nothing(waiting);
      if (steps === MOST_STEPS) throw leadsNowhere(path);
      for (const next of opened.leadsTo) {
        await this.open({ path: next, isFound: waiting.isFound, steps: steps + 1 });
      }
    } catch (error) {
      if (!PrefaultError.is(error) || error.code === "PREFAULT_ABORTED") throw error;
      if (INDEX_NAME.test(path)) this.#broken.add(dirname(path));
      this.#fail({ path, error });
    }
  }

  /** Closes the files of a path that is no model, since a folder may hold thousands of them. */
  async #read(path: string): Promise<Opened> {
    const { files } = this.#options;
    let opened: Opened | undefined;
    try {
      opened = await openPath(path, this.#options);
      return opened;
    } finally {
      const read = opened !== undefined && "model" in opened ? opened.model.files : [];
      await files?.closeOthers(new Set([...this.#paths, ...read.map((file) => file.path)]));
    }
  }

  #nothing({ path, isFound }: Waiting): void {
    if (!isFound) throw namesNothing(path);
    this.notes.push(`${namesNothing(path).message}; it was left out`);
  }

  async #openFolder(path: string, steps: number): Promise<void> {
    const { paths, failures, notes } = await findModels(path);
    this.notes.push(...notes);
    for (const failure of failures) this.#fail(failure);
    for (const found of paths) await this.open({ path: found, isFound: true, steps });
  }

  async #isKnown({ path, isFound }: Waiting): Promise<boolean> {
    if (isFound && SAFETENSORS_SHARD.test(path) && this.#broken.has(dirname(path))) return true;
    const identity = await fileIdentity(path).catch(() => undefined);
    return identity !== undefined && this.#covered.has(identity);
  }

  #add(model: Model, { path, isFound }: Waiting): void {
    for (const { identity, path: each } of model.files) {
      if (identity !== undefined) this.#covered.add(identity);
      this.#paths.add(each);
    }
    const { kind = "model" } = model;
    const isCompanion = isFound && kind !== "model" && this.#options.asBytes !== true;
    const what = `${path} is ${describeKind(kind)}`;
    if (isCompanion && kind === "imatrix") this.notes.push(`${what}; it was left out`);
    else if (isCompanion) this.models.push(withNote(model, `${what}; the whole of it counts`));
    else this.models.push(model);
  }

  /** Adds a failure once: each shard of a model fails with the error of the missing one. */
  #fail(failure: FailedPath): void {
    const { code, path } = failure.error;
    const isKnown = this.failures.some(({ error }) => error.code === code && error.path === path);
    if (!isKnown) this.failures.push(failure);
  }
}

function withNote(model: Model, note: string): Model {
  return { ...model, notes: [...(model.notes ?? []), note] };
}
