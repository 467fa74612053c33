import { type Given, listed, parseBoolean, type Source } from "./given.ts";
import { type OptionName, type OptionTable, spelling } from "./options.ts";
import { isOther, PLACEMENT_WORD, spellingsOf } from "./spellings.ts";

/** Reads the keys of a file, which are flags without dashes, or variables. @param where for messages */
export function readKeys(
  entries: readonly (readonly [key: string, value: string])[],
  table: OptionTable,
  where: string,
): { source: Source; unknown: string[] } {
  const spellings = spellingsOf(table);
  const source = new Map<OptionName, Given[]>();
  const unknown: string[] = [];
  for (const [at, [key, value]] of entries.entries()) {
    const by = `${where} ${key}`;
    const known = [`--${key}`, `-${key}`].map(spelling).flatMap((flag) => {
      const found = spellings.get(flag);
      return found === undefined ? [] : [found];
    })[0];
    const byVariable = [...table.options].find(([, spec]) => spec.env.includes(key));
    if (known === undefined && byVariable === undefined) {
      if (PLACEMENT_WORD.test(key) && ![`--${key}`, `-${key}`].some((flag) => isOther(flag, table)))
        unknown.push(by);
      continue;
    }
    const name = known?.name ?? byVariable?.[0];
    const spec = known?.spec ?? byVariable?.[1];
    if (name === undefined || spec === undefined) continue;
    const isOff = known?.isOff ?? false;
    const values =
      spec.takes === "nothing"
        ? [parseBoolean(value, by) === isOff ? "0" : "1"]
        : listed(value, spec);
    source.set(name, [
      ...(source.get(name) ?? []),
      ...values.map((each) => ({ value: each, by, at })),
    ]);
  }
  return { source, unknown };
}
