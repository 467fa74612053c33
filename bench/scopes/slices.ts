import type { Scope } from "../bench.ts";
import { type Disk, onUntunedDisk, ownDisk } from "../larger/disks.ts";
import { compareFills, fillChecks } from "../larger/fills.ts";
import type { Check, Table } from "../result.ts";

export const slices: Scope = {
  name: "slices",
  compares:
    "Filling what a budget of 30 % of a mixture of experts chooses by a profile: the core and slices of " +
    "half a megabyte or so, in a memory cgroup of half the model's size. Beside it four threads in C that " +
    "pread the same slices after POSIX_FADV_RANDOM, without planning, measuring or watching anything. The " +
    "fill is from the start of the first reader of each run to the end of the last; the whole call also " +
    "plans, starts threads and measures residency, and for C it has the start of the process.",
  wrongWhen: [
    "the model is not cold before a fill (checked: residency must read 0)",
    "someone else reads the machine's own disk: its bytes are everybody's (the loop device's are not)",
    "other programs hold the processors: the threads in C need less of them",
  ],
  async run(bench) {
    const tables: Table[] = [];
    const checks: Check[] = [];
    const compare = async (disk: Disk) => {
      const path = await disk.bench.subjects.routed(bench.settings.bytes);
      const fills = await compareFills(disk, path);
      tables.push(fills);
      checks.push(...fillChecks(disk, fills));
    };
    await onUntunedDisk(bench, compare);
    await compare(ownDisk(bench));
    return { tables, checks };
  },
};
