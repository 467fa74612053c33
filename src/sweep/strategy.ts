import type { Shim } from "../../shims/index.ts";
import { PrefaultError } from "../errors.ts";
import type { FileSource } from "../file/open-file.ts";
import type { FillStrategy } from "../fill/fill-task.ts";

/** What a caller may ask for: a way of filling, or the one that suits this system. */
export type Strategy = "auto" | FillStrategy;

export const STRATEGIES: readonly Strategy[] = ["auto", "touch", "populate", "read"];

export interface ChosenStrategy {
  readonly strategy: FillStrategy;
  /** Why, in words, for the report. */
  readonly why: string;
}

/**
 * Settles on a way of filling. `auto` populates where the kernel can, since that fails with an error
 * where a touch would raise a signal, and reads everywhere else.
 *
 * It also reads what lies on another machine, or is another program's (NFS, FUSE): a page fault there
 * may wait in the kernel for as long as the other does not answer, in a way that nothing ends, and
 * could not be followed by a touch anyway, since no one can hold such a file still.
 *
 * @param files to fill
 * @throws {@link PrefaultError} `PREFAULT_UNSUPPORTED` when the one asked for cannot work here
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
