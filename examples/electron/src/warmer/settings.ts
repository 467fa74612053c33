import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import type { RunOptions } from "prefault";
import { budgetOf } from "./budget.ts";

/** The server that the user wants, by the file that only the user writes. */
export interface ServerSettings {
  readonly program: string;
  readonly args: readonly string[];
  /** Answers 200 when the server is ready. */
  readonly ready: string | undefined;
  /** How to warm it. Warming refuses what it cannot take, and the server runs on. */
  readonly options: Pick<RunOptions, "budget" | "profile">;
}

/**
 * Reads the settings.
 *
 * @returns `null` where there is no such file, or no server in it
 * @throws an error that names the setting, for a person
 */
export async function readServerSettings(path: string): Promise<ServerSettings | null> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "{}";
    throw error;
  });
  const refuse = (why: string) => new Error(`${basename(path)}: ${why}`);
  let settings: unknown;
  try {
    settings = JSON.parse(text);
  } catch (error) {
    throw refuse(String(error));
  }
  const { server } = objectOf(settings);
  if (server === undefined) return null;
  const { command, ready, budget, profile } = objectOf(server);
  // Words, not a line: no shell takes them apart.
  const words = Array.isArray(command) ? command : [];
  const [program, ...args] = words;
  if (!words.every((word) => typeof word === "string") || !program) {
    throw refuse("server.command must be a list of words, the program first");
  }
  if (ready !== undefined && !isWebAddress(ready)) {
    throw refuse("server.ready must be an http: or https: URL");
  }
  const options = {
    budget: typeof budget === "string" ? budgetOf(budget) : (budget as number | undefined),
    profile: profile as string | undefined,
  };
  return { program, args, ready, options };
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function isWebAddress(value: unknown): value is string {
  return typeof value === "string" && /^https?:/.test(value) && URL.canParse(value);
}

/** A program without its folder: the window need not know where it lies. */
export function nameOf(program: string): string {
  return basename(program);
}
