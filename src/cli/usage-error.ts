import { CommanderError } from "commander";
import { asPrefaultError, PrefaultError } from "../errors.ts";

/** An error of the parser as one sentence in the manner of our own. */
export function asUsageError(thrown: unknown): PrefaultError {
  if (!(thrown instanceof CommanderError)) return asPrefaultError(thrown);
  const message = thrown.message
    .replace(/^error: /, "")
    .replace(" is invalid. Allowed", " is invalid: allowed")
    .replace(" is invalid. ", " is invalid: ")
    .replace(/\.$/, "")
    .replaceAll("\n", " ");
  const isUnknown = thrown.code === "commander.unknownOption";
  const hint = "; see prefault --help (other flags of llama-server go after --)";
  return new PrefaultError("PREFAULT_INVALID_OPTION", message + (isUnknown ? hint : ""), {
    cause: thrown,
  });
}
