import type { LlamaPlacement, PassName } from "../passes/index.ts";
import type { Environment } from "./command-line.ts";
import type { EngineName } from "./engines.ts";

/** What a file is to the engine. */
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
  /** Sentences for the plan. */
  readonly notes: readonly string[];
}

/** What a command line, its environment and its preset say: what is loaded, and how. */
export interface Launch {
  readonly engine: EngineName;
  /** As the line has it. */
  readonly program: string;
  readonly parts: readonly LaunchPart[];
  /** Sentences about the line as a whole: what was not understood, and what copies the weights. */
  readonly notes: readonly string[];
  /** Where the server listens, when the line says so. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly apiPrefix: string | undefined;
  /** The engine runs once over the whole model before it is ready. */
  readonly warmsUp: boolean;
  /** ik_llama.cpp's `--defer-experts`: the mapping is not populated at load. */
  readonly defersExperts: boolean;
}

/** What reading a line needs besides the line. */
export interface LaunchContext {
  /** The environment that the engine would be started in. */
  readonly env: Environment;
  /** What the user knows better than the line: each field of it goes before the line's. */
  readonly placement?: LlamaPlacement;
  /** Files that stand for the line's model, which may then be missing. */
  readonly operands?: readonly string[];
  readonly signal?: AbortSignal;
}
