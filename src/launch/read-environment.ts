import { type Given, listed, parseBoolean, type Source, TRUE } from "./given.ts";
import type { OptionName, OptionSpec, OptionTable } from "./options.ts";
import type { Environment } from "./shell-words.ts";
import { isOther, PLACEMENT_WORD } from "./spellings.ts";

/** Reads the environment variables of options, in the order of the table, as llama.cpp does. */
export function readEnvironment(env: Environment, table: OptionTable): Source {
  const source = new Map<OptionName, Given[]>();
  let at = 0;
  for (const [name, spec] of table.options) {
    const put = (values: readonly string[], by: string) => {
      at += 1;
      if (values.length > 0)
        source.set(
          name,
          values.map((value) => ({ value, by, at })),
        );
    };
    const off = spec.offEnv.find((variable) => env[variable] !== undefined);
    const on = spec.env.find((variable) => (env[variable] ?? "") !== "");
    // For llama.cpp a LLAMA_ARG_NO_… variable means no whatever its value is.
    if (off !== undefined) put(["0"], off);
    else if (on !== undefined) put(fromVariable(env[on] ?? "", on, spec), on);
  }
  return source;
}

/** A variable of a flag without a value counts only when it is true, unless the flag has a negation. */
function fromVariable(text: string, variable: string, spec: OptionSpec): readonly string[] {
  if (spec.takes !== "nothing") return listed(text, spec);
  if (spec.off.length === 0) return TRUE.has(text) ? ["1"] : [];
  return [parseBoolean(text, variable) ? "1" : "0"];
}

/** Unknown `LLAMA_ARG_*` variables whose names may concern placement. */
export function unknownVariables(env: Environment, table: OptionTable): string[] {
  const known = new Set(
    [...table.options.values()].flatMap((each) => [...each.env, ...each.offEnv]),
  );
  return Object.keys(env).filter((name) => {
    const flag = `--${name
      .replace(/^LLAMA_ARG_(NO_)?/, "")
      .toLowerCase()
      .replaceAll("_", "-")}`;
    const isPlacement = PLACEMENT_WORD.test(flag) && !isOther(flag, table);
    return /^LLAMA_ARG_/.test(name) && !known.has(name) && isPlacement;
  });
}
