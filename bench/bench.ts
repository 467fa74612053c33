import type { Tools } from "./compile.ts";
import type { Machine } from "./machine.ts";
import type { ScopeOutcome } from "./result.ts";
import type { ScopeName, Settings } from "./settings.ts";
import type { Subjects } from "./subject.ts";

/** What every scope is given. */
export interface Bench {
  readonly settings: Settings;
  readonly machine: Machine;
  readonly subjects: Subjects;
  readonly tools: Tools;
  /** Progress, on stderr. */
  readonly say: (line: string) => void;
}

/** A question, and what is measured to answer it. */
export interface Scope {
  readonly name: ScopeName;
  /** What stands side by side, in a sentence. */
  readonly compares: string;
  /** What would make its figures mean something else. */
  readonly wrongWhen: readonly string[];
  run(bench: Bench): Promise<ScopeOutcome>;
}
