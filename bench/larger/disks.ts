import type { Bench } from "../bench.ts";
import { makeLoopDisk } from "../loop-disk.ts";
import { Subjects } from "../subject.ts";

/** What Linux reads ahead on a disk nobody tuned (`VM_READAHEAD_PAGES`, include/linux/mm.h). */
const UNTUNED_KIB = 128;

/** A disk that models are read from. */
export interface Disk {
  /** Its subjects lie on it. */
  readonly bench: Bench;
  readonly id: "128" | "own";
  readonly title: string;
}

/** Runs something on a disk that nobody tuned. Where none can be made, it says why. */
export async function onUntunedDisk(bench: Bench, run: (disk: Disk) => Promise<void>) {
  const { subjects, settings, say } = bench;
  const bytes = Math.ceil(1.2 * settings.bytes) + 2 ** 28;
  const untuned = makeLoopDisk(subjects.folder, bytes, UNTUNED_KIB);
  if (typeof untuned === "string") {
    say(` no disk of ${UNTUNED_KIB} KiB: ${untuned}`);
    return;
  }
  try {
    const title = `a disk that reads ahead ${UNTUNED_KIB} KiB`;
    say(` ${title}`);
    const onIt = new Subjects(untuned.folder, subjects.memory, settings.dropCaches);
    await run({ bench: { ...bench, subjects: onIt }, id: "128", title });
  } finally {
    untuned.remove();
  }
}

export function ownDisk(bench: Bench): Disk {
  const title = `the machine's own disk, ${bench.machine.readAheadKb} KiB`;
  bench.say(` ${title}`);
  return { bench, id: "own", title };
}
