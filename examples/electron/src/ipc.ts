/**
 * Every message between the processes, in one place. All of it is plain data.
 *
 * ```
 *   window  ──choose──►  main  ──open──►  warmer      the window never names a file
 *   window  ◄───────── MessagePort ─────►  warmer     commands one way, messages the other
 * ```
 */

/** Channels between the window and the main process. */
export const CHANNELS = {
  /** `invoke`: has the user choose a model; the answer comes from the warmer. */
  choose: "choose-model",
  /** Sent with one end of a port whose other end the warmer has. */
  connect: "warmer-connected",
  /** Sent with the exit code when the warmer has ended. */
  ended: "warmer-ended",
} as const;

/** From the main process to the warmer. `connect` brings a port. */
export type FromMain =
  | { readonly kind: "connect" }
  | { readonly kind: "open"; readonly path: string };

/** What the engine will be told, so that the warmer knows what stays on the CPU. */
export interface Placement {
  readonly gpuLayers: number;
  readonly cpuMoe: boolean;
}

/** From the window to the warmer. */
export type Command =
  | { readonly kind: "place"; readonly placement: Placement }
  /** `force` goes past the memory gate. */
  | { readonly kind: "warm"; readonly force: boolean }
  | { readonly kind: "stop" };

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

/** From the warmer to the window. */
export type Message =
  | { readonly kind: "model"; readonly model: ModelView | null }
  /** For each tensor of the model the share in memory, from 0 to 1; `null`: the system won't say. */
  | { readonly kind: "residency"; readonly shares: readonly (number | null)[] }
  | { readonly kind: "status"; readonly status: Status };

/** What the preload script gives the window. */
export interface WarmerBridge {
  choose(): Promise<void>;
  send(command: Command): void;
  onMessage(listener: (message: Message) => void): void;
}

/** A command, if it is one. The window shows files' contents, so what it sends is not trusted. */
export function asCommand(value: unknown): Command | undefined {
  if (typeof value !== "object" || value === null || !("kind" in value)) return undefined;
  if (value.kind === "stop") return { kind: "stop" };
  if (value.kind === "warm" && "force" in value)
    return { kind: "warm", force: value.force === true };
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
