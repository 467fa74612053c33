import { usage } from "./given.ts";

/** A section of a preset file. Entries before the first header are in one with an empty name. */
export interface Section {
  readonly name: string;
  readonly entries: readonly (readonly [key: string, value: string])[];
}

/**
 * Parses a preset file of llama-server: `[name]`, `key = value`, and comments after `;` or `#`, also
 * after a value. Of two sections of one name the last counts, and of two equal keys too.
 *
 * @param path for messages
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for any other line, with its number
 */
export function parseIni(text: string, path: string): Section[] {
  const sections = new Map<string, Map<string, string>>([["", new Map()]]);
  let current = sections.get("");
  for (const [index, line] of text
    .replace(/^\ufeff/, "")
    .split(/\r\n|\n|\r/)
    .entries()) {
    if (/^\s*([;#].*)?$/.test(line)) continue;
    const header = /^\s*\[\s*([^\]]*?)\s*\]\s*([;#].*)?$/.exec(line);
    if (header !== null) {
      current = new Map();
      sections.set(header[1] ?? "", current);
      continue;
    }
    const entry = /^\s*([A-Za-z_*][\w.-]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (entry === null) {
      throw usage(`${path}: line ${index + 1} is neither [section] nor key = value`);
    }
    const value = (entry[2] ?? "").replace(/[ \t]*[;#].*$/, "");
    current?.set(entry[1] ?? "", value);
  }
  return [...sections].map(([name, entries]) => ({ name, entries: [...entries] }));
}
