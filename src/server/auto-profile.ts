import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PrefaultError } from "../errors.ts";
import { checkProfile } from "../experts/check-profile.ts";
import { modelIdentity } from "../experts/identity.ts";
import type { Profile } from "../experts/profile.ts";
import { writeProfile } from "../experts/profile-json.ts";
import { readProfile } from "../experts/read-profile.ts";
import { mergeProfiles } from "../experts/record.ts";
import type { Model, Tensor } from "../model/model.ts";
import type { ModelPlan } from "../passes/index.ts";
import { EVERY_MS, recordProfile } from "../residency/record-profile.ts";

/** What was seen is written so often. */
const WRITE_MS = 600_000;

/** What was recorded before counts half as much at each start, so that a change of use shows. */
const OLD_WEIGHT = 0.5;

/** How often the experts of a model are used, recorded from one start to the next. */
export class AutoProfile {
  /** What was recorded before; `undefined` at the first start. */
  readonly profile: Profile | undefined;
  /** For a person: which file it is, and what it says. */
  readonly sentence: string;
  readonly #path: string;
  readonly #model: Model;
  readonly #tensors: readonly Tensor[];

  /** @returns `null` for models without routed experts on the CPU */
  static async open(plans: readonly ModelPlan[]): Promise<AutoProfile | null> {
    for (const { model, runs } of plans) {
      const experts = runs.find(({ name }) => name === "experts");
      if (experts === undefined) continue;
      const path = autoProfilePath(model);
      const tensors = experts.regions.map(({ tensor }) => tensor);
      try {
        const profile = checkProfile(await readProfile(path), model);
        const looks = Math.round(profile.samples ?? 0);
        const sentence = `the use of experts was recorded in ${path}, ${looks} looks`;
        return new AutoProfile(path, model, tensors, profile, sentence);
      } catch (error) {
        if (!PrefaultError.is(error)) throw error;
        const isNew = error.code === "PREFAULT_NOT_FOUND";
        const why = isNew ? "" : ` (what is there is of no use: ${error.message})`;
        const sentence = `the use of experts will be recorded in ${path}${why}`;
        return new AutoProfile(path, model, tensors, undefined, sentence);
      }
    }
    return null;
  }

  private constructor(
    path: string,
    model: Model,
    tensors: readonly Tensor[],
    profile: Profile | undefined,
    sentence: string,
  ) {
    this.#path = path;
    this.#model = model;
    this.#tensors = tensors;
    this.profile = profile;
    this.sentence = sentence;
  }

  /**
   * Records until the signal fires. Writes every ten minutes and at the end; nothing when the signal fires
   * before the first look.
   *
   * @param everyMs between two looks; tests give their own
   * @throws {@link PrefaultError} as {@link recordProfile}, and what `node:fs` throws
   */
  async record(signal: AbortSignal, everyMs = EVERY_MS): Promise<void> {
    let known = this.profile === undefined ? undefined : scaled(this.profile, OLD_WEIGHT);
    // A look right after a load shows the load.
    await sleep(everyMs, undefined, { signal }).catch(() => {});
    while (!signal.aborted) {
      const options = { tensors: this.#tensors, everyMs, forMs: WRITE_MS, signal };
      const seen = await recordProfile(this.#model, options).catch((error: unknown) => {
        if (signal.aborted) return undefined;
        throw error;
      });
      if (seen === undefined) return;
      known = known === undefined ? seen : mergeProfiles([known, seen]);
      await replaceFile(this.#path, writeProfile(known));
    }
  }
}

/**
 * The file in which the use of a model's experts is recorded, in the user's folder for state:
 * `$XDG_STATE_HOME`, by default `~/.local/state`, or `%LOCALAPPDATA%`. One that is not absolute does not
 * count (XDG Base Directory Specification).
 */
export function autoProfilePath(model: Model, env: NodeJS.ProcessEnv = process.env): string {
  const given = [env["XDG_STATE_HOME"], env["LOCALAPPDATA"]].find(
    (folder) => folder !== undefined && isAbsolute(folder),
  );
  const name = basename(model.files[0]?.path ?? "model").replace(/[^\w.-]/g, "_");
  return join(
    given ?? join(homedir(), ".local", "state"),
    "prefault",
    "profiles",
    `${name}.${modelIdentity(model).fingerprint}.json`,
  );
}

function scaled(profile: Profile, factor: number): Profile {
  return {
    ...profile,
    samples: profile.samples === null ? null : profile.samples * factor,
    weights: profile.weights.map((row) => row.map((weight) => weight * factor)),
  };
}

/** A reader finds the old file or the new one, and never half of one. */
async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const written = `${path}.${process.pid}`;
  try {
    await writeFile(written, text);
    await rename(written, path);
  } catch (error) {
    await rm(written, { force: true });
    throw error;
  }
}
