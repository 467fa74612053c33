/**
 * Every message between the processes, in one place. All of it is plain data.
 *
 * ```
 *   window  ──choose──►  main  ──open, profile──►  warmer      the window never names a file
 *   window  ◄────────── MessagePort ───────────►  warmer      commands one way, messages the other
 *                                                  warmer ──► server      as the settings say
 * ```
 */

/** Channels between the window and the main process. */
export const CHANNELS = {
  /** `invoke`: has the user choose a model; the answer comes from the warmer. */
  choose: "choose-model",
  /** The same for a profile. */
  chooseProfile: "choose-profile",
  /** Sent with one end of a port whose other end the warmer has. */
  connect: "warmer-connected",
  /** Sent with the exit code when the warmer has ended. */
  ended: "warmer-ended",
} as const;

/** From the main process to the warmer. `connect` brings a port, and the path of the settings. */
export type FromMain =
  | { readonly kind: "connect"; readonly settings: string }
  | { readonly kind: "open" | "profile"; readonly path: string };

/** What the engine will be told, so that the warmer knows what stays on the CPU. */
export interface Placement {
  readonly gpuLayers: number;
  readonly cpuMoe: boolean;
}

/** From the window to the warmer. */
export type Command = WarmerCommand | ServerCommand;

export type WarmerCommand =
  | { readonly kind: "place"; readonly placement: Placement }
  /** `force` goes past the memory gate. The budget is what its field holds: the library judges it. */
  | { readonly kind: "warm"; readonly force: boolean; readonly budget: string }
  | { readonly kind: "drop-profile" }
  | { readonly kind: "stop" };

/** Which server that is, only the settings say. */
export interface ServerCommand {
  readonly kind: "start-server" | "stop-server";
}

/** Where inference finds a tensor. Only those on the CPU are warmed. */
export type Place = "cpu" | "gpu" | "copied" | "lazy" | "unused";

export interface TensorView {
  readonly name: string;
  readonly bytes: number;
  readonly place: Place;
}

export interface ModelView {
  /** Without its folder. */
  readonly name: string;
  /** The one that the places of the tensors follow from. */
  readonly placement: Placement;
  readonly layers: number;
  /** In file order. */
  readonly tensors: readonly TensorView[];
}

export type Status =
  | { readonly state: "idle" }
  | { readonly state: "opening"; readonly name: string }
  | {
      readonly state: "warming";
      readonly bytesDone: number;
      readonly bytesTotal: number;
      readonly seconds: number;
    }
  | {
      readonly state: "done";
      readonly bytes: number;
      readonly seconds: number;
      readonly residentBefore: number | null;
      readonly residentAfter: number | null;
    }
  | { readonly state: "skipped"; readonly reason: string; readonly bytes: number }
  | { readonly state: "stopped" }
  | { readonly state: "failed"; readonly code: string; readonly message: string };

/** A part of a model that is made resident, or skipped, by itself. */
export interface RunView {
  /** `core`: what every token reads. `experts`: of these a token reads a few. */
  readonly name: "core" | "experts";
  /** To be made resident: with a budget what was chosen, else all of it. */
  readonly plannedBytes: number;
  /** What the budget has no room for. */
  readonly leftOutBytes: number;
  /** Of the planned bytes; `null`: the system won't say. */
  readonly residentBytes: number | null;
  /** Why nothing of it was read; `null` when it was. */
  readonly skipped: string | null;
}

export interface ReportView {
  readonly runs: readonly RunView[];
  /** Sentences for a person: with a budget, whether it and the profile are worth it. */
  readonly notes: readonly string[];
}

export type ServerStatus =
  /** The settings name no server. */
  | { readonly state: "none" }
  | { readonly state: "idle"; readonly name: string }
  | {
      readonly state: "running";
      readonly name: string;
      /** `null`: the settings do not say how to tell. */
      readonly isReady: boolean | null;
      /** What warming it is at. */
      readonly note: string;
      /** `null` until warming is over. */
      readonly report: ReportView | null;
    }
  | { readonly state: "ending"; readonly name: string }
  | {
      readonly state: "ended";
      readonly name: string;
      /** What it exited with, or the signal that ended it. */
      readonly by: number | string;
    }
  | { readonly state: "failed"; readonly message: string };

/** From the warmer to the window. */
export type Message =
  | { readonly kind: "model"; readonly model: ModelView | null }
  /** For each tensor of the model the share in memory, from 0 to 1; `null`: the system won't say. */
  | { readonly kind: "residency"; readonly shares: readonly (number | null)[] }
  | { readonly kind: "status"; readonly status: Status }
  /** The profile's file, without its folder; `null`: none. */
  | { readonly kind: "profile"; readonly name: string | null }
  /** What became of each run of the last sweep; nothing when another model or placement has come. */
  | { readonly kind: "report"; readonly report: ReportView }
  | { readonly kind: "server"; readonly server: ServerStatus };

/** What the preload script gives the window. */
export interface WarmerBridge {
  choose(): Promise<void>;
  chooseProfile(): Promise<void>;
  send(command: Command): void;
  onMessage(listener: (message: Message) => void): void;
}

/** Those that are nothing but their name. */
const PLAIN = ["drop-profile", "stop", "start-server", "stop-server"] as const;

/** More than any budget takes; the library's own check follows. */
const MOST_BUDGET_LENGTH = 40;

/** A command, if it is one. The window shows files' contents, so what it sends is not trusted. */
export function asCommand(value: unknown): Command | undefined {
  if (typeof value !== "object" || value === null || !("kind" in value)) return undefined;
  const plain = PLAIN.find((kind) => kind === value.kind);
  if (plain !== undefined) return { kind: plain };
  if (value.kind === "warm" && "force" in value && "budget" in value) {
    const { force, budget } = value;
    if (typeof budget !== "string" || budget.length > MOST_BUDGET_LENGTH) return undefined;
    return { kind: "warm", force: force === true, budget };
  }
  if (value.kind !== "place" || !("placement" in value)) return undefined;
  const placement = asPlacement(value.placement);
  return placement && { kind: "place", placement };
}

function asPlacement(value: unknown): Placement | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (!("gpuLayers" in value) || !("cpuMoe" in value)) return undefined;
  const { gpuLayers, cpuMoe } = value;
  if (typeof gpuLayers !== "number" || !Number.isSafeInteger(gpuLayers)) return undefined;
  return { gpuLayers, cpuMoe: cpuMoe === true };
}
