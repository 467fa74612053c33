import { open, readFile, rename, rm } from "node:fs/promises";
import { PrefaultError } from "../errors.ts";
import type { Profile } from "../experts/profile.ts";
import { parseProfile, writeProfile } from "../experts/profile-json.ts";
import { asFileError } from "../file/open-file.ts";
import type { Model, Tensor } from "../model/model.ts";
import { openModels } from "../model/open-models.ts";
import { recordProfile } from "../residency/record-profile.ts";
import type { Flags } from "./flags.ts";
import { requireOperands } from "./operands.ts";
import { hasPlacement, type PlacementFlags } from "./placement-flags.ts";
import { planOperands } from "./plan-operands.ts";
import type { Result } from "./result.ts";
import { plural, printable } from "./text.ts";

/**
 * `prefault record`: which routed experts an engine uses, by what of them is resident. Ctrl-C ends it, and
 * what was seen until then is written.
 */
export async function record(
  files: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<Result> {
  const { output, once, every, quiet } = flags;
  if (output === undefined) {
    const message = "no file to write was given: prefault record FILE -o PROFILE";
    throw new PrefaultError("PREFAULT_INVALID_OPTION", message);
  }
  await expectProfile(output);
  const { model, tensors } = await modelOf(requireOperands(files, flags), flags, signal);
  const profile = await recordProfile(model, {
    everyMs: every,
    forMs: once ? 0 : flags.for,
    tensors,
    signal,
    onSample: (samples) => {
      if (!quiet && !once) process.stderr.write(`\rlooked ${plural(samples, "time")}`);
    },
  });
  if (!quiet && !once) process.stderr.write("\n");
  await write(output, profile);
  const { samples, layers, experts } = profile;
  const document = { path: output, samples, layers, experts };
  const text = `${printable(output)}: ${plural(samples ?? 0, "look")} at ${layers} layers of ${experts} experts`;
  return { document, text: () => (quiet ? "" : text), endsOnInterrupt: ["SIGINT"] };
}

interface Recorded {
  readonly model: Model;
  readonly tensors: readonly Tensor[];
}

/** The only model of the operands, and those of its tensors that stay on the CPU. */
async function modelOf(
  operands: readonly string[],
  flags: PlacementFlags,
  signal: AbortSignal,
): Promise<Recorded> {
  const found: Recorded[] = hasPlacement(flags)
    ? (await planOperands(operands, flags, signal)).plans.map(({ model, runs }) => ({
        model,
        tensors: runs.flatMap(({ regions }) => regions.map(({ tensor }) => tensor)),
      }))
    : (await openModels(operands, { signal })).models.map((model) => ({
        model,
        tensors: model.tensors,
      }));
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return only;
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `a profile is of one model, and ${found.length} were given`,
  );
}

/** A file that is there already has to be a profile: a model must not be overwritten by mistake. */
async function expectProfile(path: string): Promise<void> {
  const text = await readStart(path);
  if (text === undefined || text.trim() === "") return;
  try {
    parseProfile(await readFile(path, "utf8"), path);
  } catch (cause) {
    throw new PrefaultError(
      "PREFAULT_INVALID_OPTION",
      `${path} is there already, and is no profile: it is not overwritten`,
      { path, cause },
    );
  }
}

/** A profile begins with a brace: nothing else is read as a whole. */
async function readStart(path: string): Promise<string | undefined> {
  try {
    const handle = await open(path);
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, 0);
      const start = buffer.toString("latin1", 0, bytesRead);
      if (start === "" || start === "{") return start;
      throw new PrefaultError(
        "PREFAULT_INVALID_OPTION",
        `${path} is there already, and is no profile: it is not overwritten`,
        { path },
      );
    } finally {
      await handle.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw asFileError(error, path);
  }
}

/** Written beside, and renamed when it is whole: whoever reads it sees the old one or the new one. */
async function write(path: string, profile: Profile): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`;
  try {
    const handle = await open(beside, "wx");
    try {
      await handle.writeFile(writeProfile(profile));
    } finally {
      await handle.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw asFileError(error, path);
  }
}
