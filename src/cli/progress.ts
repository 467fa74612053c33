import type { Options, SingleBar } from "cli-progress";
import type { PrefaultProgress } from "../sweep/job.ts";
import { formatBytes } from "../units.ts";
import type { Flags } from "./flags.ts";

/** A bar on the terminal's stderr. */
export interface ProgressBar {
  update(progress: PrefaultProgress): void;
  /** Takes the bar away. The next update brings it back. */
  stop(): void;
}

/**
 * Its package is loaded where a bar is shown only: that takes as long as to read a large model's header.
 *
 * @returns `undefined` where nobody would see it, or nobody wants it
 */
export async function progressBar({ quiet, progress }: Flags): Promise<ProgressBar | undefined> {
  if (quiet || !progress || process.stderr.isTTY !== true) return undefined;
  const { Presets, SingleBar: Bar } = await import("cli-progress");
  const createBar = () => new Bar(BAR, Presets.shades_classic);
  let bar: SingleBar | undefined;
  let since = { ms: 0, bytes: 0 };
  return {
    update({ bytesDone, bytesTotal }) {
      const now = { ms: performance.now(), bytes: bytesDone };
      if (bar === undefined) since = now;
      const rate = (1000 * (now.bytes - since.bytes)) / Math.max(now.ms - since.ms, 1);
      const shown = {
        done: formatBytes(bytesDone),
        all: formatBytes(bytesTotal),
        rate: rate > 0 ? `${formatBytes(Math.round(rate))}/s` : "-",
        left: rate > 0 ? duration((bytesTotal - bytesDone) / rate) : "-",
      };
      if (bar === undefined) {
        bar = createBar();
        bar.start(bytesTotal, bytesDone, shown);
      } else {
        bar.update(bytesDone, shown);
      }
    },
    stop() {
      bar?.stop();
      bar = undefined;
    },
  };
}

const BAR: Options = {
  format: "{bar} {percentage} % | {done} of {all} | {rate} | {left} left",
  barsize: 24,
  stream: process.stderr,
  clearOnComplete: true,
  // It would take Ctrl-C for itself; ours stops the sweep, which stops the bar.
  gracefulExit: false,
};

function duration(seconds: number): string {
  return seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
