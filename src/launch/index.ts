export type { EngineName } from "./engines.ts";
export type { Launch, LaunchContext, LaunchPart, LaunchRole } from "./launch.ts";
export { type PlannedLaunch, planCommand, planLaunch } from "./plan-launch.ts";
export { readLaunch } from "./read-launch.ts";
