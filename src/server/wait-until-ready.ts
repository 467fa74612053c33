import { setTimeout as sleep } from "node:timers/promises";
import { type Activity, activityOf } from "../beside/activity.ts";
import { abortError } from "../errors.ts";
import { type HealthUrl, statusOf } from "./health.ts";
import { listensAt } from "./listening.ts";

/** How it was told that the engine has read its model. */
export type ReadyBy =
  /** A URL answered 200. */
  | "health"
  /** The files are mapped, and nothing was read for a while. */
  | "settled"
  /** Neither can be told on this system; the wait was a guess. */
  | "unknown";

export interface ReadyQuestion {
  readonly urls: readonly HealthUrl[];
  /** The URL was given by the user, so no guess takes its place. */
  readonly isGiven: boolean;
  readonly pid: number;
  readonly paths: readonly string[];
  readonly signal: AbortSignal;
}

const LOOK_MS = 200;

/** The engine has read its model when it has read next to nothing for so long. */
const QUIET_MS = 3000;
const QUIET_BYTES = 4 * 1024 ** 2;

/** A server that never answered in this time answers somewhere else. */
const SILENT_MS = 60_000;

/**
 * Waits until an engine has read its model: until a URL answers 200, or, where no URL is known or none
 * answers, until the files are mapped and the processes read nothing more.
 *
 * @throws {@link PrefaultError} `PREFAULT_ABORTED` when the signal fires first
 */
export async function waitUntilReady(question: ReadyQuestion): Promise<ReadyBy> {
  const { urls, isGiven, pid, paths, signal } = question;
  const started = performance.now();
  const quiet = new Quiet();
  const others = isGiven ? new Set<HealthUrl>() : await answeredByOthers(urls, pid, signal);
  const asked = urls.filter((url) => !others.has(url));
  let hasAnswered = false;
  for (;;) {
    if (signal.aborted) throw abortError(signal);
    const statuses = await Promise.all(asked.map((url) => statusOf(url, signal)));
    if (statuses.includes(200)) return "health";
    hasAnswered ||= statuses.some((status) => status === 503);
    const isSilent = performance.now() - started > SILENT_MS && !hasAnswered;
    if (!isGiven && (asked.length === 0 || isSilent)) {
      const activity = await activityOf(pid, paths);
      if (activity === null) return "unknown";
      if (quiet.look(activity)) return "settled";
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

/** Where another program has the port, and answers at once: the engine cannot listen there. */
async function answeredByOthers(
  urls: readonly HealthUrl[],
  pid: number,
  signal: AbortSignal,
): Promise<Set<HealthUrl>> {
  const answers = urls.map(
    async (url) => (await statusOf(url, signal)) === 200 && !(await listensAt(url, pid)),
  );
  const areOthers = await Promise.all(answers);
  return new Set(urls.filter((_, index) => areOthers[index]));
}

/** Tells when an engine has stopped reading. */
export class Quiet {
  readonly #now: () => number;
  #since: { readonly ms: number; readonly bytes: number } | undefined;

  /** @param now a clock in milliseconds; tests give their own */
  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  look({ hasMapped, readBytes }: Activity): boolean {
    const ms = this.#now();
    const since = this.#since;
    if (!hasMapped) {
      this.#since = undefined;
      return false;
    }
    if (since === undefined || readBytes - since.bytes > QUIET_BYTES) {
      this.#since = { ms, bytes: readBytes };
      return false;
    }
    return ms - since.ms >= QUIET_MS;
  }
}
