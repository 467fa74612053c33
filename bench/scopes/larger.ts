import { join } from "node:path";
import type { Bench, Scope } from "../bench.ts";
import { compareFills, fillChecks } from "../larger/fills.ts";
import { comparePlans, planChecks } from "../larger/plans.ts";
import { compareReaders, readerChecks } from "../larger/readers.ts";
import { makeLoopDisk } from "../loop-disk.ts";
import type { Check, Table } from "../result.ts";
import { Subjects } from "../subject.ts";

/** What Linux reads ahead on a disk nobody tuned (`VM_READAHEAD_PAGES`, include/linux/mm.h). */
const UNTUNED_KIB = 128;

export const larger: Scope = {
  name: "larger",
  compares:
    "A mixture of experts in a memory cgroup of half its size, on a disk that reads ahead 128 KiB and on " +
    "the machine's own. A decode-like reader in a fresh process in that cgroup, whose experts are drawn by " +
    "Zipf's law (s = 0: all alike; s = 1: a quarter of each layer's gets about three quarters), after " +
    "nothing, after the whole file was populated as llama.cpp does and by vmtouch, and after prefault: the " +
    "core alone (what it does without flags), within --budget auto (64 MiB reserved: the reader needs " +
    "no more) without a profile, with one counted from other tokens, and with a snapshot of what " +
    "an earlier reader left in the page cache. Bytes are those the device read while the reader ran. " +
    "Then the fill alone beside four threads in C that pread the same slices after POSIX_FADV_RANDOM; " +
    "and what a plan with an imatrix of 190 MB costs.",
  wrongWhen: [
    "the model is not cold before a fill (checked: residency must read 0)",
    "someone else reads the machine's own disk: its bytes are everybody's (the loop device's are not)",
    "the kernel pages out idle memory between a fill and its reader (the machine's facts say so)",
    "it is taken for an engine's decoding: this reader computes next to nothing, a token is its reads",
  ],
  async run(bench) {
    const tables: Table[] = [];
    const checks: Check[] = [];
    const untuned = makeLoopDisk(
      bench.subjects.folder,
      Math.ceil(1.2 * bench.settings.bytes) + 2 ** 28,
      UNTUNED_KIB,
    );
    const own = {
      bench,
      id: "own",
      title: `the machine's own disk, ${bench.machine.readAheadKb} KiB`,
    };
    if (typeof untuned === "string") {
      bench.say(` no disk of ${UNTUNED_KIB} KiB: ${untuned}`);
    } else {
      try {
        const { memory } = bench.subjects;
        const subjects = new Subjects(untuned.folder, memory, bench.settings.dropCaches);
        const title = `a disk that reads ahead ${UNTUNED_KIB} KiB`;
        await onDisk({ bench: { ...bench, subjects }, id: "128", title }, tables, checks);
      } finally {
        untuned.remove();
      }
    }
    await onDisk(own, tables, checks);
    const plans = await comparePlans(bench, join(bench.subjects.folder, "larger-plan"));
    tables.push(plans);
    checks.push(...planChecks(plans));
    return { tables, checks };
  },
};

export interface Disk {
  readonly bench: Bench;
  readonly id: string;
  readonly title: string;
}

async function onDisk(disk: Disk, tables: Table[], checks: Check[]): Promise<void> {
  const { bench, title } = disk;
  bench.say(` ${title}`);
  const path = await bench.subjects.routed(bench.settings.bytes);
  const fills = await compareFills(disk, path);
  tables.push(fills);
  checks.push(...fillChecks(disk, fills));
  for (const s of bench.settings.quick ? [0, 1] : [0, 0.6, 1, 1.4]) {
    const table = await compareReaders(disk, path, s);
    tables.push(table);
    checks.push(...readerChecks(disk, table, s));
  }
}
