import type { EngineName } from "./engines.ts";
import type { Settings } from "./settings.ts";

const HELPS_LOAD = "copies the weights out of the mapping: warming them helps the load only";

/** Notes on options that make the engine copy the weights or bypass the page cache. */
export function loadNotes(engine: EngineName, settings: Settings): string[] {
  const notes: string[] = [];
  const mode = settings.last("loadMode");
  if (mode !== undefined && /^(none|mlock)$/.test(mode.value)) {
    notes.push(`${mode.by} ${mode.value} ${HELPS_LOAD}`);
  }
  if (mode?.value === "dio" || (mode === undefined && settings.isOn("directIo") === true)) {
    const by = mode === undefined ? settings.last("directIo")?.by : `${mode.by} dio`;
    notes.push(`${by} reads past the page cache: warming does not help the load`);
  }
  // The load mode replaces these options.
  if (mode === undefined) notes.push(...olderNotes(engine, settings));
  for (const name of ["runTimeRepack", "mergeUpGate", "mergeQkv", "hugePages"] as const) {
    if (settings.isOn(name) === true) notes.push(`${settings.last(name)?.by} ${HELPS_LOAD}`);
  }
  const numa = settings.last("numa");
  if (numa?.value === "mirror") {
    notes.push(`${numa.by} mirror copies the weights to every node: warming helps the load only`);
  } else if (numa !== undefined && !/^(0|false)$/i.test(numa.value)) {
    notes.push(
      `${numa.by} ${numa.value}: a page stays on the node of the thread that reads it first, and ` +
        "warming reads it before the engine does",
    );
  }
  return notes;
}

function olderNotes(engine: EngineName, settings: Settings): string[] {
  const notes: string[] = [];
  const isMapped = settings.isOn("mmap");
  if (isMapped === false) {
    const { by, value } = settings.last("mmap") ?? { by: "", value: "" };
    // A negated flag such as --no-mmap needs no value in the note.
    notes.push(`${/no/i.test(by) ? by : `${by} ${value}`} ${HELPS_LOAD}`);
  } else if (engine === "koboldcpp" && isMapped === undefined) {
    notes.push(`koboldcpp without --usemmap ${HELPS_LOAD}`);
  }
  if (engine === "llama.cpp" && settings.isOn("mlock") === true) {
    notes.push(
      `${settings.last("mlock")?.by} locks the mapping in older builds of llama.cpp; one of 2026 that ` +
        "still takes it copies the weights (--load-mode mmap+mlock does not), and warming then helps " +
        "the load only",
    );
  }
  return notes;
}
