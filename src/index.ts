/**
 * Makes the CPU-resident weights of a hybrid LLM resident before the first request, and proves it.
 *
 * @module prefault
 */
export type { FoundMapping } from "../shims/index.ts";
export { findMappedModels } from "./beside/mapped-models.ts";
export { PrefaultError, type PrefaultErrorCode } from "./errors.ts";
export type { ModelIdentity } from "./experts/identity.ts";
export type { ExpertCounts } from "./experts/plan-experts.ts";
export type { Profile } from "./experts/profile.ts";
export { writeProfile } from "./experts/profile-json.ts";
export { type ReadProfileOptions, readProfile } from "./experts/read-profile.ts";
export type { FailureReport } from "./fill/failure.ts";
export type { FillStrategy } from "./fill/fill-task.ts";
export { type Gate, type GateAnswer, type GateQuestion, shouldRun } from "./gate.ts";
export { type KeepOptions, type KeptWarm, keepWarm } from "./keep/keep-warm.ts";
export type { KeptRun } from "./keep/kept-run.ts";
export type { KeptState } from "./keep/kept-set.ts";
export { type MapModelOptions, mapModel } from "./mapped/map-model.ts";
export type { ArenaSpan, MappedModel, MappedTensor } from "./mapped/mapped-model.ts";
export type { MetadataValue, Model, ModelFile, ModelKind, Tensor } from "./model/model.ts";
export { type OpenModelOptions, openModel } from "./model/open-model.ts";
export type { OnError, PrefaultOptions } from "./options.ts";
export {
  type CommonPlacement,
  type Elsewhere,
  type LlamaPlacement,
  type ModelPlan,
  type NodeLlamaCppModel,
  type NodeLlamaCppPlacement,
  PASS_NAMES,
  type PassName,
  type PassPlan,
  type PassRun,
  type Placement,
  type PlacementOf,
  type PlannedTensor,
  parseOverrides,
  placementOfNodeLlamaCpp,
  planPass,
  type ReferencePlacement,
  type RunName,
  type TensorOverride,
  type UnplannedTensor,
} from "./passes/index.ts";
export type { AddressRegion, FileRegion } from "./plan/region.ts";
export { type EvictedFile, type EvictReport, evict } from "./residency/evict.ts";
export { type FindMappingsOptions, findMappings } from "./residency/find-mappings.ts";
export { type RecordOptions, recordProfile } from "./residency/record-profile.ts";
export {
  type FileResidency,
  type Residency,
  type ResidencyOptions,
  residency,
  type TensorResidency,
} from "./residency/residency.ts";
export { prefault } from "./run/prefault.ts";
export type { FileReport, PrefaultReport } from "./run/report.ts";
export { type PrefaultSession, type ReadyPart, startPrefault } from "./run/session.ts";
export type { ServerOptions } from "./server/options.ts";
export {
  type RunningCommand,
  type RunOptions,
  runWithPrefault,
} from "./server/run-with-prefault.ts";
export type { ServerSession } from "./server/session.ts";
export type { PrefaultProgress } from "./sweep/job.ts";
export type { Strategy } from "./sweep/strategy.ts";
export type { Target } from "./target/target.ts";
