import type { KeepView } from "../../../src/cli/keep/readiness.ts";
import type { KeptRun } from "../../../src/keep/kept-run.ts";
import type { KeptState } from "../../../src/keep/kept-set.ts";
import { emptyReport, type PrefaultReport } from "../../../src/run/report.ts";

export const run = (more: Partial<KeptRun> = {}): KeptRun => ({
  name: "core",
  path: "model.gguf",
  wantedBytes: 1000,
  residentBytes: 1000,
  ...more,
});

export const state = (runs: readonly KeptRun[], more: Partial<KeptState> = {}): KeptState => ({
  runs,
  lockedBytes: 0,
  refills: 0,
  refilledBytes: 0,
  refillError: null,
  postponed: 0,
  pressurePercent: 0,
  ...more,
});

export const filled = (more: Partial<PrefaultReport> = {}): PrefaultReport => ({
  ...emptyReport("prefault", "forced"),
  ran: true,
  bytes: 1000,
  ...more,
});

export const view = (more: Partial<KeepView> = {}): KeepView => ({
  report: filled(),
  state: state([run()]),
  disabled: null,
  ...more,
});
