/** Names of a module's sections, by the number each begins with (WebAssembly core, 5.5.2). */
const NAMES = [
  "custom",
  "type",
  "import",
  "function",
  "table",
  "memory",
  "global",
  "export",
  "start",
  "element",
  "code",
  "data",
  "data count",
] as const;

/** Walks a module's bytes; no engine is asked, since none tells. */
export function sectionNames(wasm: Uint8Array): string[] {
  const names: string[] = [];
  for (let at = 8; at < wasm.length; ) {
    const id = wasm[at++] ?? 0;
    let size = 0;
    for (let shift = 0, byte = 0x80; byte & 0x80; shift += 7) {
      byte = wasm[at++] ?? 0;
      size += (byte & 0x7f) * 2 ** shift;
    }
    names.push(NAMES[id] ?? `section ${id}`);
    at += size;
  }
  return names;
}
