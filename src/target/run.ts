import type { Layout } from "../arena/layout.ts";
import type { Mapping } from "../arena/mapping.ts";
import type { ExpertCounts } from "../experts/plan-experts.ts";
import type { Worth } from "../experts/verdict.ts";
import type { FileSet } from "../file/file-set.ts";
import type { Gate } from "../gate.ts";
import type { Reserve } from "../memory/reserve-watch.ts";
import type { Model, Tensor } from "../model/model.ts";
import type { RunName } from "../passes/index.ts";
import type { Plan } from "../plan/plan.ts";
import type { AddressRegion, FileRegion } from "../plan/region.ts";

/** What is made resident together, or not at all. */
export type Run = FilesRun | AddressesRun | MappedRun;

/** Regions of files, mapped for the length of the run. */
export interface FilesRun {
  readonly kind: "files";
  readonly name?: RunName;
  /** The run's own label and gate; the caller's options come first. */
  readonly label?: string;
  readonly gate?: Gate;
  readonly regions: readonly FileRegion[];
  /** Where the files are opened, and may be open already. @defaultValue a set for this run alone */
  readonly files?: FileSet;
  /** The model that the regions are of: what may be chosen from within a budget. */
  readonly source?: RunSource;
  /** Whether nothing beside the regions may be read, because memory is short. @defaultValue `false` */
  readonly isExact?: boolean;
  /** What a budget left out, for the report. */
  readonly choice?: RunChoice;
  /** What a budget leaves to others while the run is filled, where it was computed. */
  readonly reserve?: Reserve;
  /** Why the run is skipped, whatever the gate says. */
  readonly skipped?: string;
}

/** A model, and its tensors that a run is about. All of a model's tensors: the whole of its files. */
export interface RunSource {
  readonly model: Model;
  readonly tensors: readonly Tensor[];
}

/** What was chosen within a budget. */
export interface RunChoice {
  /** Bytes that are to be filled. */
  readonly plannedBytes: number;
  /** Bytes of the run that do not fit. */
  readonly leftOutBytes: number;
  readonly experts?: ExpertCounts;
  /** Whether a profile ranks the experts so that it pays to choose among them. */
  readonly worth?: Worth;
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
