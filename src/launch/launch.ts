import type { LlamaPlacement, PassName } from "../passes/index.ts";
import type { EngineName } from "./engines.ts";
import type { Environment } from "./shell-words.ts";

/** How the engine uses a file. */
export type LaunchRole =
  | "model"
  | "draft"
  | "mmproj"
  | "lora"
  | "control vector"
  | "companion"
  | "other";

/** One file that the engine loads. */
export interface LaunchPart {
  readonly role: LaunchRole;
  /** A file, any shard of a split model, or a folder of models. */
  readonly path: string;
  /** `undefined`: the engine reads the whole file. */
  readonly placement: LlamaPlacement | undefined;
  readonly pass: PassName;
  /** Remarks for the plan, one sentence each. */
  readonly notes: readonly string[];
}

/** The files that a command line with its environment and presets loads, and how. */
export interface Launch {
  readonly engine: EngineName;
  /** As it is written in the line. */
  readonly program: string;
  readonly parts: readonly LaunchPart[];
  /** Remarks on the line as a whole: unknown options, and options that copy the weights. */
  readonly notes: readonly string[];
  /** The address of the server, when the line gives it. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly apiPrefix: string | undefined;
  /** The engine computes one batch with the whole model before it is ready. */
  readonly warmsUp: boolean;
  /** ik_llama.cpp's `--defer-experts`: the mapping is not populated at load. */
  readonly defersExperts: boolean;
}

/** What is needed to read a line besides its words. */
export interface LaunchContext {
  /** The environment that the engine would be started in. */
  readonly env: Environment;
  /** Placement that the user gives: each field replaces that of the line. */
  readonly placement?: LlamaPlacement;
  /** Files that replace the model of the line, whose file may then be missing. */
  readonly operands?: readonly string[];
  readonly signal?: AbortSignal;
}
