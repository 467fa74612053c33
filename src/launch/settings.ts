import { type Given, parseBoolean, type Source } from "./given.ts";
import type { OptionName } from "./options.ts";

/** The options of several sources. For each option the first source that has it counts. */
export class Settings {
  /** The strongest first: flags, variables of the line, variables of the caller, sections of a file. */
  readonly sources: readonly Source[];

  constructor(sources: readonly Source[]) {
    this.sources = sources;
  }

  /** All uses of an option in the strongest source that has it. */
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

  /** The same settings with one more source, the weakest. */
  over(source: Source): Settings {
    return new Settings([...this.sources, source]);
  }
}
