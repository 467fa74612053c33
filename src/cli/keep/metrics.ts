import type { KeptRun } from "../../keep/kept-run.ts";
import { isWarm, type KeepView } from "./readiness.ts";

/** Of the text format's version 0.0.4 (Prometheus, "Exposition formats"). */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly samples: readonly Sample[];
}

interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What is kept, as Prometheus reads it. */
export function metricsText(view: KeepView): string {
  return metricsOf(view).map(metricText).join("");
}

function metricsOf(view: KeepView): Metric[] {
  const { state } = view;
  const runs = distinct(state?.runs ?? []);
  const of = (count: (run: KeptRun) => number | null): Sample[] =>
    runs.flatMap((run) => {
      const value = count(run);
      return value === null ? [] : [{ labels: { model: run.path, run: run.name }, value }];
    });
  const one = (value = 0): Sample[] => [{ value }];
  return [
    {
      name: "prefault_wanted_bytes",
      type: "gauge",
      help: "Bytes that are kept in memory, in whole pages.",
      samples: of(({ wantedBytes }) => wantedBytes),
    },
    {
      name: "prefault_resident_bytes",
      type: "gauge",
      help: "Bytes of them that were in memory at the last look; absent where the system does not say.",
      samples: of(({ residentBytes }) => residentBytes),
    },
    {
      name: "prefault_locked_bytes",
      type: "gauge",
      help: "Bytes that are locked in memory.",
      samples: one(state?.lockedBytes),
    },
    {
      name: "prefault_refills_total",
      type: "counter",
      help: "How often bytes were filled again, since they were missing or may have been.",
      samples: one(state?.refills),
    },
    {
      name: "prefault_refilled_bytes_total",
      type: "counter",
      help: "Bytes of those fills that are known to have been missing.",
      samples: one(state?.refilledBytes),
    },
    {
      name: "prefault_postponed_total",
      type: "counter",
      help: "Looks at which bytes were missing and were not filled, since memory was short or the engine was reading.",
      samples: one(state?.postponed),
    },
    {
      name: "prefault_memory_pressure_percent",
      type: "gauge",
      help: "Share of the last ten seconds in which some program waited for memory.",
      samples: one(state?.pressurePercent),
    },
    {
      name: "prefault_warm",
      type: "gauge",
      help: "1 when all that is wanted was in memory at the last look, or was filled and the system does not say.",
      samples: one(isWarm(view) ? 1 : 0),
    },
  ];
}

/** A set of labels may occur once: what has the same is summed up. */
function distinct(runs: readonly KeptRun[]): KeptRun[] {
  const found = new Map<string, KeptRun>();
  for (const run of runs) {
    const key = `${run.name}\0${run.path}`;
    const known = found.get(key);
    const { residentBytes } = run;
    const isKnown = known?.residentBytes !== null && residentBytes !== null;
    found.set(key, {
      ...run,
      wantedBytes: run.wantedBytes + (known?.wantedBytes ?? 0),
      residentBytes: isKnown ? residentBytes + (known?.residentBytes ?? 0) : null,
    });
  }
  return [...found.values()];
}

function metricText({ name, type, help, samples }: Metric): string {
  if (samples.length === 0) return "";
  const lines = samples.map(({ labels = {}, value }) => `${name}${labelText(labels)} ${value}`);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** A file's name may have anything in it but a zero. */
function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
