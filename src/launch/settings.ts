import type { OptionName } from "./options.ts";
import { type Given, parseBoolean, type Source } from "./read-options.ts";

/** What several sources say together: for each option the first source that has it counts. */
export class Settings {
  /** The strongest first: flags, variables of the line, variables of the caller, sections of a file. */
  readonly sources: readonly Source[];

  constructor(sources: readonly Source[]) {
    this.sources = sources;
  }

  /** Every time the option was given, by the strongest source that gives it. */
  all(name: OptionName): readonly Given[] {
    return this.sources.find((source) => source.has(name))?.get(name) ?? [];
  }

  /** Within one source the last one wins. */
  last(name: OptionName): Given | undefined {
    return this.all(name).at(-1);
  }

  text(name: OptionName): string | undefined {
    return this.last(name)?.value;
  }

  has(name: OptionName): boolean {
    return this.last(name) !== undefined;
  }

  /** `undefined` when it was not given. @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` */
  isOn(name: OptionName): boolean | undefined {
    const given = this.last(name);
    return given && parseBoolean(given.value, given.by);
  }

  /** The same with one more source behind the others. */
  over(source: Source): Settings {
    return new Settings([...this.sources, source]);
  }
}
