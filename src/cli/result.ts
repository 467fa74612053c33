import { PrefaultError } from "../errors.ts";
import type { FailureReport } from "../fill/failure.ts";
import { type Paint, painter } from "./paint.ts";
import { printable } from "./text.ts";

/** What a command hands back. */
export interface Result {
  /** For `--json`. */
  readonly document: object;
  /** For a person; empty when there is nothing to say. */
  text(paint: Paint): string;
  /** What went wrong, when something did. */
  readonly error?: PrefaultError | undefined;
  /** Files that could not be opened, beside others that could. Each is named, and the exit is a failure. */
  readonly failures?: readonly FailureReport[];
  /** For a person, beside the text: about the files as a whole. */
  readonly notes?: readonly string[];
  /** Signals that are the usual way to end the command, and no failure. */
  readonly endsOnInterrupt?: readonly ("SIGINT" | "SIGTERM")[];
}

export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

export function failure(error: PrefaultError): Result {
  return { document: { error }, text: () => "", error };
}

/** Prints a result where it belongs, and says what to exit with. */
export function printResult(result: Result, json: boolean): number {
  const text = json ? toJson(result.document) : result.text(painter(process.stdout));
  if (text !== "") process.stdout.write(`${text}\n`);
  const { error, failures = [], notes = [] } = result;
  // The document has them already.
  for (const note of json ? [] : notes) process.stderr.write(`Note: ${printable(note)}.\n`);
  const said = new Set(failures.map(({ message }) => printable(message)));
  if (error !== undefined) said.add(sentence(error));
  for (const line of said) process.stderr.write(`prefault: ${line}\n`);
  if (error !== undefined) return exitCodeOf(error);
  return failures.length > 0 ? EXIT.failed : EXIT.done;
}

function toJson(document: object): string {
  return JSON.stringify(
    document,
    (_, value) => (PrefaultError.is(value) ? plain(value) : value),
    2,
  );
}

/** An error's message is no property of it, and would be missing. */
function plain({ code, message, errno, path, offset }: PrefaultError) {
  return { code, message, errno: errno ?? null, path: path ?? null, offset: offset ?? null };
}

/** One line, whatever a file's name or header put into the message. */
function sentence(error: PrefaultError): string {
  return error.code === "PREFAULT_ABORTED" ? "interrupted" : printable(error.message);
}

function exitCodeOf({ code }: PrefaultError): number {
  if (code === "PREFAULT_INVALID_OPTION") return EXIT.usage;
  return code === "PREFAULT_ABORTED" ? EXIT.interrupted : EXIT.failed;
}
