import type { Shim } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import { type Layout, layOut } from "../arena/layout.ts";
import { type Mapping, mapForSweep } from "../arena/mapping.ts";
import { PrefaultError } from "../errors.ts";
import { type FileSource, isReplaced } from "../file/open-file.ts";
import type { FillStrategy } from "../fill/fill-task.ts";
import type { Reserve } from "../memory/reserve-watch.ts";
import { mergeAddresses } from "../plan/addresses.ts";
import { type Plan, planRegions } from "../plan/plan.ts";
import { residentBytesAt, residentBytesOfEach } from "../residency/count.ts";
import type { Attempt } from "../sweep/attempt.ts";
import { chooseStrategy, type Strategy } from "../sweep/strategy.ts";
import { readsSooner } from "../sweep/worker-count.ts";
import type { AddressesRun, FilesRun, MappedRun, Run } from "../target/run.ts";
import { sumKnown } from "../units.ts";
import type { FileReport } from "./report.ts";

/** Resident bytes: of the whole, and of each file where there are files. */
export interface Measured {
  readonly total: number | null;
  readonly files: readonly (number | null)[];
}

/** A run, opened: what it fills, and how that is measured and mapped. */
export interface Subject {
  /** Bytes, each counted once. */
  readonly bytes: number;
  /** Ranges of whole pages. */
  readonly regions: number;
  /** None for memory that somebody mapped. */
  readonly files: readonly FileSource[];
  /** What a budget leaves to others; `null` without a budget that was computed. */
  readonly reserve: Reserve | null;
  /** Where regions lie; none for memory that somebody mapped. */
  readonly plan: Plan | null;
  layOut(): Layout;
  measure(signal?: AbortSignal): Promise<Measured>;
  /**
   * @param workers that were asked for, if any
   * @throws {@link PrefaultError} `PREFAULT_UNSUPPORTED`
   */
  choose(asked: Strategy, workers?: number): Attempt;
  /** @throws {@link PrefaultError} `PREFAULT_MAP_FAILED` */
  map(layout: Layout, strategy: FillStrategy): Mapping | null;
  /** By file: what was resident before and after. */
  report(before: Measured, after: Measured): readonly FileReport[];
  /** @throws {@link PrefaultError} `PREFAULT_FILE_CHANGED` when the paths lead to other files by now */
  expectSame(): Promise<void>;
  close(): Promise<void>;
}

/** What a report says of residency. */
export function residencyOf(subject: Subject, before: Measured, after: Measured) {
  return {
    residentBytesBefore: before.total,
    residentBytesAfter: after.total,
    files: subject.report(before, after),
  };
}

/** @throws {@link PrefaultError} what {@link planRegions} throws */
export async function openSubject(run: Run, shim: Shim, signal?: AbortSignal): Promise<Subject> {
  switch (run.kind) {
    case "addresses":
      return addressesSubject(run, shim);
    case "mapped":
      return planSubject(run.plan, shim, run);
    case "files":
      return filesSubject(run, shim, signal);
  }
}

async function filesSubject(run: FilesRun, shim: Shim, signal?: AbortSignal): Promise<Subject> {
  const opening = planRegions(run.regions, shim, run.files);
  const plan = await abortable(signal, opening, (late) => late.close());
  const subject = run.isExact === true ? exactSubject(plan, shim) : planSubject(plan, shim);
  return { ...subject, reserve: run.reserve ?? null };
}

/**
 * Files of which nothing beside the regions may be read. A page fault reads a large folio or the device's
 * read-ahead, neighbours included; a read of a descriptor that was advised to be random reads what it was
 * asked for (mm/readahead.c, `page_cache_sync_ra`). It also is the fastest way to fill slices of half a
 * megabyte (`npm run bench -- --scope slices`).
 */
function exactSubject(plan: Plan, shim: Shim): Subject {
  const subject = planSubject(plan, shim);
  const advise = (advice: "random" | "normal") => {
    for (const { file } of plan.files) shim.adviseFile(file.fd, advice);
  };
  advise("random");
  return {
    ...subject,
    choose: (asked, workers) =>
      asked === "auto"
        ? {
            strategy: "read",
            why: "memory is short, and reads bring nothing beside what they ask for",
            withoutWorkers: workers === undefined && readsSooner(plan.bytes, subject.files),
          }
        : subject.choose(asked),
    async close() {
      advise("normal");
      await subject.close();
    },
  };
}

function planSubject(plan: Plan, shim: Shim, mapped?: MappedRun): Subject {
  const files = plan.files.map(({ file: { path, fd, byteLength, facts } }) => {
    return { path, fd, byteLength, facts };
  });
  return {
    bytes: plan.bytes,
    regions: plan.regions,
    files,
    plan,
    reserve: null,
    layOut: () => mapped?.layout ?? layOut(plan.files.map((each) => each.ranges)),
    async measure(signal) {
      const counts = await residentBytesOfEach(shim, plan.files, signal);
      return { total: sumKnown(counts), files: counts };
    },
    choose: (asked) => chooseStrategy(asked, shim, files),
    map: (layout, strategy) =>
      strategy === "read" ? null : (mapped?.mapping ?? mapForSweep(layout, files, shim)),
    report: (before, after) =>
      plan.files.map(({ file, bytes }, index) => ({
        path: file.path,
        bytes,
        residentBytesBefore: before.files[index] ?? null,
        residentBytesAfter: after.files[index] ?? null,
      })),
    async expectSame() {
      for (const { file } of plan.files) {
        if (!(await isReplaced(file))) continue;
        // What is resident now is of no use to whoever opens the file by its name.
        const message = `${file.path} was replaced by another file while it was read`;
        throw new PrefaultError("PREFAULT_FILE_CHANGED", message, { path: file.path });
      }
    },
    // A mapped model closes its files itself.
    close: async () => (mapped === undefined ? plan.close() : undefined),
  };
}

function addressesSubject({ addresses }: AddressesRun, shim: Shim): Subject {
  const { bytes, ranges } = mergeAddresses(addresses, shim.pageBytes);
  return {
    bytes,
    regions: ranges.length,
    files: [],
    plan: null,
    reserve: null,
    // An address is an offset into memory: laid out like a file, and never mapped a second time.
    layOut: () => layOut([ranges]),
    async measure(signal) {
      return { total: await residentBytesAt(shim, ranges, signal), files: [] };
    },
    choose() {
      if (shim.canPopulate) {
        return { strategy: "populate", why: "the kernel fills the mapping in place" };
      }
      const first = `0x${addresses[0]?.address.toString(16) ?? 0}`;
      throw new PrefaultError(
        "PREFAULT_UNSUPPORTED",
        `the ${shim.name} shim cannot fill the mapping at ${first}, which somebody else made; give the file instead`,
      );
    },
    map: () => null,
    report: () => [],
    expectSame: async () => {},
    close: async () => {},
  };
}
