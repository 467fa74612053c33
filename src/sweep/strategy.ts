import type { Shim } from "../../shims/index.ts";
import { PrefaultError } from "../errors.ts";
import type { FileSource } from "../file/open-file.ts";
import type { FillStrategy } from "../fill/fill-task.ts";

/** A strategy as a caller gives it: one by name, or the one that suits the system and the files. */
export type Strategy = "auto" | FillStrategy;

export const STRATEGIES: readonly Strategy[] = ["auto", "touch", "populate", "read"];

/** The strategy of a sweep. */
export interface ChosenStrategy {
  readonly strategy: FillStrategy;
  /** The reason in words, for the report. */
  readonly why: string;
}

/**
 * Chooses the strategy of a sweep. `auto` is `populate` where the kernel has it, since a populate fails
 * with an error where a touch would raise a signal, and `read` on every other system.
 *
 * `auto` is also `read` for files on another machine or of another program (NFS, FUSE): a page fault on
 * such a file waits in the kernel until the server answers and cannot be ended, and the pages could not
 * be touched anyway, since no lease can be had on such a file.
 *
 * @param files to fill
 * @throws {@link PrefaultError} `PREFAULT_UNSUPPORTED` for a strategy that this system does not have
 */
export function chooseStrategy(
  asked: Strategy,
  shim: Shim,
  files: readonly Pick<FileSource, "facts">[] = [],
): ChosenStrategy {
  const { canPlace, canPopulate, name } = shim;
  if (asked === "auto" && canPopulate && !files.every(({ facts }) => facts.isLocal)) {
    return { strategy: "read", why: "a file lies on a file system that may stop answering" };
  }
  if (asked === "auto") {
    return canPopulate
      ? { strategy: "populate", why: "the kernel fills mapped pages and reports errors" }
      : {
          strategy: "read",
          why: `the ${name} shim cannot fill a mapping without risking a signal`,
        };
  }
  const possible = { read: true, touch: canPlace, populate: canPopulate };
  if (!possible[asked]) {
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `strategy ${asked} is not possible with the ${name} shim; use auto or read`,
    );
  }
  return { strategy: asked, why: "asked for" };
}
