import type { Bench } from "./bench.ts";
import { makeLoopDisk } from "./loop-disk.ts";
import { Subjects } from "./subject.ts";

/** What Linux reads ahead on a disk nobody tuned (`VM_READAHEAD_PAGES`, include/linux/mm.h). */
const READ_AHEAD_KIB = 128;

export const UNTUNED = `a disk that nobody tuned: ${READ_AHEAD_KIB} KiB read ahead`;

/**
 * Runs a comparison with its files on a disk of its own, which reads ahead as little as most disks do.
 *
 * @returns `null` where no such disk can be made; the reason is printed
 */
export async function onUntunedDisk<T>(
  bench: Bench,
  run: (bench: Bench) => Promise<T>,
): Promise<T | null> {
  const { subjects, settings, say } = bench;
  const diskBytes = Math.ceil(1.4 * settings.bytes);
  const disk = makeLoopDisk(subjects.folder, diskBytes, READ_AHEAD_KIB);
  if (typeof disk === "string") {
    say(` no ${UNTUNED}: ${disk}`);
    return null;
  }
  try {
    say(` ${UNTUNED}`);
    const own = new Subjects(disk.folder, subjects.memory, settings.dropCaches);
    return await run({ ...bench, subjects: own });
  } finally {
    disk.remove();
  }
}
