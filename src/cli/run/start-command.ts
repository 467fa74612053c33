import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { basename } from "node:path";
import { errnoOf } from "../../describe.ts";
import { exists } from "../../file/exists.ts";

/** As a shell reports them. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/** A command that was started with our own streams and environment. */
export interface StartedCommand {
  /** `undefined` for one that the system refused at once. */
  readonly child: ChildProcess | undefined;
  /** `null` as soon as it runs; else why it does not. */
  readonly failure: Promise<StartFailure | null>;
  readonly ended: Promise<Ending>;
}

/** A command that could not be started. */
export interface StartFailure {
  readonly message: string;
  readonly code: number;
}

/** A status, or the signal that ended the command. */
export type Ending = { readonly code: number } | { readonly signal: NodeJS.Signals };

/** Starts a command as a shell would. */
export function startCommand(line: readonly string[]): StartedCommand {
  const [command = "", ...args] = line;
  let child: ChildProcess;
  try {
    child = spawn(command, args, { stdio: "inherit" });
  } catch (error) {
    // Node throws some errors of the system, such as ENOTDIR and E2BIG, and emits the others.
    return {
      child: undefined,
      failure: whyNotStarted(command, error),
      ended: new Promise(() => {}),
    };
  }
  const ended = new Promise<Ending>((resolve) => {
    child.once("exit", (code, signal) =>
      resolve(signal === null ? { code: code ?? 1 } : { signal }),
    );
  });
  const failure = new Promise<StartFailure | null>((resolve) => {
    child.once("spawn", () => resolve(null));
    // Also of a signal that may not be sent to it, such as to sudo: each time, and no reason to end.
    child.on("error", async (error) => resolve(await whyNotStarted(command, error)));
  });
  return { child, failure, ended };
}

async function whyNotStarted(command: string, error: unknown): Promise<StartFailure> {
  const errno = errnoOf(error);
  // ENOENT is also the error for a script whose interpreter is missing. A name alone is looked up in PATH.
  const isPath = basename(command) !== command;
  if (errno === "ENOENT" && !(isPath && (await exists(command)))) {
    return { message: `${command}: command not found`, code: NOT_FOUND };
  }
  const why = errno === "ENOENT" ? "its interpreter was not found" : `the system says ${errno}`;
  return { message: `${command} cannot be started: ${why}`, code: NOT_EXECUTABLE };
}

/**
 * Signals that a service manager takes for a clean end when a command ends by them (systemd.service(5),
 * `SuccessExitStatus`); a status of 128 and their number would be a failure to it.
 */
const CLEAN: ReadonlySet<NodeJS.Signals> = new Set(["SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE"]);

/** Ends this process as the command ended. */
export function endLike(ending: Ending): void {
  if ("code" in ending) {
    process.exitCode = ending.code;
    return;
  }
  const { signal } = ending;
  process.exitCode = 128 + (constants.signals[signal] ?? 0);
  // The first process of a container ignores signals that it has no handler for.
  if (CLEAN.has(signal) && process.pid !== 1) process.kill(process.pid, signal);
}
