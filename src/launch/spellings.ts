import { type OptionName, type OptionSpec, type OptionTable, spelling } from "./options.ts";

/** What a flag means. */
export interface Spelled {
  readonly name: OptionName;
  readonly spec: OptionSpec;
  /** The flag is a negation, such as `--no-mmap`. */
  readonly isOff: boolean;
}

/** All flags of an engine with their meaning. */
export function spellingsOf(table: OptionTable): ReadonlyMap<string, Spelled> {
  return new Map<string, Spelled>(
    [...table.options].flatMap(([name, spec]) => [
      ...spec.flags.map((flag) => [flag, { name, spec, isOff: false }] as const),
      ...spec.off.map((flag) => [flag, { name, spec, isOff: true }] as const),
    ]),
  );
}

/** Words in names of flags and variables that may concern placement: unknown ones are noted. */
export const PLACEMENT_WORD =
  /gpu|offload|cpu|moe|layer|tensor|expert|mmap|mlock|device|vram|repack|buffer/i;

/** Whether a name is a known flag that has no effect on placement. @param flag with its dashes */
export function isOther(flag: string, table: OptionTable): boolean {
  return table.otherValued.has(spelling(flag)) || table.otherBare.has(spelling(flag));
}
