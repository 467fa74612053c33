import type { Scope } from "../bench.ts";
import { ownDisk } from "../larger/disks.ts";
import { compareReaders, readerChecks } from "../larger/readers.ts";

/** A token takes seconds here. */
const FEW = { rounds: 2, all: false, tokens: 8 };

export const readAhead: Scope = {
  name: "read-ahead",
  compares:
    "The reader of `larger` (s = 1) on the machine's own disk, as far as that reads ahead. Each slice that " +
    "is not resident brings along as much as is read ahead of a page fault.",
  wrongWhen: [
    "the model is not cold before a fill (checked: residency must read 0)",
    "someone else reads the machine's own disk: its bytes are everybody's",
  ],
  async run(bench) {
    const disk = ownDisk(bench);
    const path = await bench.subjects.routed(bench.settings.bytes);
    const table = await compareReaders(disk, path, 1, FEW);
    return { tables: [table], checks: readerChecks(disk, table, 1) };
  },
};
