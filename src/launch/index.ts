export { namesModel, startsCommand } from "./command-line.ts";
export type { EngineName } from "./engines.ts";
export { askFitParams, type Fit, findFitParams } from "./fit-params.ts";
export type { Launch, LaunchPart, LaunchRole } from "./launch.ts";
export { adviceOn, type LaunchContext, openLayersNote, readLaunch } from "./read-launch.ts";
