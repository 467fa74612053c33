import { join } from "node:path";
import type { Scope } from "../bench.ts";
import { onUntunedDisk } from "../larger/disks.ts";
import { comparePlans, planChecks } from "../larger/plans.ts";
import { compareReaders, type HowMany, readerChecks } from "../larger/readers.ts";
import type { Check, Table } from "../result.ts";

/** Zipf's s of the readers: those that claims are made of, with all contenders, and others beside them. */
const CLAIMED = [0, 1];
const BESIDE = [0.6, 1.4];

/** Five that are told apart, and what a rate can be told from. */
const TOKENS = 15;

/** Rounds of what no claim is made of: all of it together would take more than an hour. */
const FEWER_ROUNDS = 2;

export const larger: Scope = {
  name: "larger",
  compares:
    "A mixture of experts in a memory cgroup of half its size, on a disk that reads ahead 128 KiB. " +
    "A decode-like reader in a fresh process in that cgroup, whose experts are drawn by " +
    "Zipf's law (s = 0: all alike; s = 1: a quarter of each layer's gets about three quarters), after " +
    "nothing, after the whole file was populated as llama.cpp does and by vmtouch, and after prefault: the " +
    "core alone (what it does without flags), within --budget auto (64 MiB reserved: the reader needs " +
    "no more) without a profile, with one counted from other tokens, and with a snapshot of what " +
    "an earlier reader left in the page cache. Bytes are those the device read while the reader ran. " +
    "And what a plan with an imatrix of 190 MB costs.",
  wrongWhen: [
    "the model is not cold before a fill (checked: residency must read 0)",
    "the kernel pages out idle memory between a fill and its reader (the machine's facts say so)",
    "it is taken for an engine's decoding: this reader computes next to nothing, a token is its reads",
  ],
  async run(bench) {
    const tables: Table[] = [];
    const checks: Check[] = [];
    const { quick, bytes, rounds } = bench.settings;
    await onUntunedDisk(bench, async (disk) => {
      const path = await disk.bench.subjects.routed(bytes);
      const compare = async (s: number, how: HowMany) => {
        const table = await compareReaders(disk, path, s, how);
        tables.push(table);
        checks.push(...readerChecks(disk, table, s));
      };
      for (const s of CLAIMED) await compare(s, { rounds, all: true, tokens: TOKENS });
      const few = { rounds: Math.min(rounds, FEWER_ROUNDS), all: false, tokens: TOKENS };
      if (!quick) for (const s of BESIDE) await compare(s, few);
    });
    const plans = await comparePlans(bench, join(bench.subjects.folder, "larger-plan"));
    tables.push(plans);
    checks.push(...planChecks(plans));
    return { tables, checks };
  },
};
