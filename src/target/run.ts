import type { Layout } from "../arena/layout.ts";
import type { Mapping } from "../arena/mapping.ts";
import type { FileSet } from "../file/file-set.ts";
import type { Gate } from "../gate.ts";
import type { Plan } from "../plan/plan.ts";
import type { AddressRegion, FileRegion } from "../plan/region.ts";

/** What is made resident together, or not at all. */
export type Run = FilesRun | AddressesRun | MappedRun;

/** Regions of files, mapped for the length of the run. */
export interface FilesRun {
  readonly kind: "files";
  /** The run's own label and gate; the caller's options come first. */
  readonly label?: string;
  readonly gate?: Gate;
  readonly regions: readonly FileRegion[];
  /** Where the files are opened, and may be open already. @defaultValue a set for this run alone */
  readonly files?: FileSet;
}

/** Memory that somebody else mapped, filled in place. */
export interface AddressesRun {
  readonly kind: "addresses";
  readonly addresses: readonly AddressRegion[];
}

/** Files that are mapped already, and stay so. */
export interface MappedRun {
  readonly kind: "mapped";
  readonly plan: Plan;
  readonly layout: Layout;
  readonly mapping: Mapping;
}
