export { namesModel, startsCommand } from "./command-line.ts";
export type { EngineName } from "./engines.ts";
export { askFitParams, type Fit, findFitParams } from "./fit-params.ts";
export type { Launch, LaunchContext, LaunchPart, LaunchRole } from "./launch.ts";
export { adviceOn, openLayersNote } from "./layers-note.ts";
export { type PlannedLaunch, planCommand, planLaunch } from "./plan-launch.ts";
export { readLaunch } from "./read-launch.ts";
