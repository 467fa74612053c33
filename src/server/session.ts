import { abortWith } from "../abortable.ts";
import { asPrefaultError } from "../errors.ts";
import { EVERY_MS } from "../keep/keep-warm.ts";
import { type KeepTask, KeptSet } from "../keep/kept-set.ts";
import { logOf } from "../options.ts";
import { reporting } from "../run/prefault.ts";
import { emptyReport, type PrefaultReport, unopenedReport } from "../run/report.ts";
import { dropWhenLoaded } from "./drop-when-loaded.ts";
import type { ServerOptions } from "./options.ts";
import { type PlanCommand, type Prepared, pathsOfPlans, prepare } from "./prepare.ts";
import { waitUntilReady } from "./wait-until-ready.ts";

/** A command that was started. */
export interface StartedCommand {
  /** Of the engine, or of what starts it. */
  readonly pid: number;
  readonly plan: PlanCommand;
}

/** A server that is warmed and, when asked for, held. */
export interface ServerSession extends AsyncDisposable {
  /** What was warmed, or why nothing was. Never rejects. */
  readonly report: Promise<PrefaultReport>;
  /**
   * Stops warming, writes what was recorded, and lets go of what is locked. The server goes on. Never
   * rejects.
   */
  close(): Promise<void>;
}

/**
 * Warms beside a server, at the moment that keeps what is warmed: at once where all of it fits in memory or
 * the engine does not read it at its start, else when the engine has read its model. Nothing that goes
 * wrong here affects the server.
 */
export function warmBeside({ pid, plan }: StartedCommand, given: ServerOptions): ServerSession {
  const stop = new AbortController();
  const { signal } = stop;
  const release = abortWith(stop, given.signal);

  const { after: _after, lock = false, profile, ...others } = given;
  const write = logOf(given);
  // What is stopped is stopped on purpose.
  const log = (line: string) => (signal.aborted ? undefined : write(line));
  let set: KeptSet | null = null;
  let recording: Promise<void> = Promise.resolve();

  const options = { ...others, ...(profile !== "auto" && { profile }), signal, log };
  const report = reporting(options, async (resolved) => {
    const prepared = await prepare(plan, given, resolved, signal);
    for (const note of prepared.notes) log(`prefault: ${note}`);
    if (prepared.arranged === null) {
      const { failures } = prepared;
      const none = emptyReport("prefault", "skipped: the command names no model that is known");
      return [failures.length > 0 ? unopenedReport("prefault", failures) : none];
    }
    const skipped = await waitForMoment(prepared, pid, signal, log);
    if (skipped !== null) return [emptyReport("prefault", skipped)];
    await dropWhenLoaded(prepared, pid, signal, log).catch((error: unknown) => {
      log(`prefault: ${asPrefaultError(error).message}`);
    });
    const ready = prepared.moment.when === "ready";
    const reserveBytes = given.reserveBytes ?? (ready ? RESERVE_BYTES : resolved.reserveBytes);
    const { plans: target, failures } = prepared;
    const task: KeepTask = {
      target,
      failures,
      options: { ...prepared.options, reserveBytes },
      reader: ready ? pid : null,
      loader: ready ? null : pid,
      engine: pid,
      lock,
      everyMs: EVERY_MS,
      signal,
    };
    set = await KeptSet.fill(task, log);
    void set.ended.then((error) => {
      if (error !== null) log(`prefault: it is no longer kept: ${error.message}`);
    });
    const { auto } = prepared;
    if (auto !== null) {
      recording = auto.record(signal).catch((error) => {
        write(`prefault: ${asPrefaultError(error).message}`);
      });
    }
    return [...set.reports];
  });

  async function close(): Promise<void> {
    stop.abort();
    release();
    await report;
    await recording;
    await set?.close();
  }
  return { report, close, [Symbol.asyncDispose]: close };
}

/** An engine that is ready has allocated its cache and its buffers: the room left is for its requests. */
const RESERVE_BYTES = 64 * 1024 ** 2;

type Log = (line: string) => void;

/** @returns why nothing is to be warmed after all; `null` when the moment is there */
async function waitForMoment(
  { moment, plans, auto }: Prepared,
  pid: number,
  signal: AbortSignal,
  log: Log,
): Promise<string | null> {
  if (auto !== null) log(`prefault: ${auto.sentence}`);
  if (moment.when === "beside") return null;
  const { urls, isGiven, why } = moment;
  const shown = urls.map(({ url }) => url.href).join(" or ");
  log(`prefault: warming waits ${shown ? `for ${shown}` : "until the model is read"}: ${why}`);
  const by = await waitUntilReady({ urls, isGiven, pid, paths: pathsOfPlans(plans), signal });
  if (by !== "unknown") return null;
  return "skipped: this system does not tell when the engine has read its model; --after URL does";
}
