import { loadShim } from "../../../shims/index.ts";
import { asPrefaultError } from "../../errors.ts";
import { RAISE_LIMIT } from "../../hold/lock.ts";
import { whyUnranked } from "../../keep/unranked.ts";
import { disabledReason } from "../../kill-switch.ts";
import { resolveOptions } from "../../options.ts";
import { flagsForAnEarlierMoment } from "../../server/moment.ts";
import { type Prepared, prepare } from "../../server/prepare.ts";
import { unopened } from "../../target/failure-report.ts";
import type { Run } from "../../target/run.ts";
import { formatBytes } from "../../units.ts";
import { failure, printResult, type Result } from "../result.ts";
import type { RunArguments } from "./arguments.ts";
import { planRun, serverOptions } from "./plan-run.ts";

/** `prefault run --dry-run`: says what would be warmed, and when. @returns what to exit with */
export async function dryRun(given: RunArguments): Promise<number> {
  const { flags } = given;
  const result = await look(given).catch((thrown: unknown) => failure(asPrefaultError(thrown)));
  return printResult(result, flags.json === true);
}

async function look(given: RunArguments): Promise<Result> {
  const { flags, line } = given;
  const disabled = disabledReason();
  if (disabled !== undefined) {
    const text = `nothing would be warmed: ${disabled}`;
    return { document: { command: line, moment: null, notes: [text] }, text: () => text };
  }
  const { signal } = new AbortController();
  const options = await serverOptions(flags);
  const { profile, after: _, lock: __, ...others } = options;
  const resolved = resolveOptions({ ...others, ...(profile !== "auto" && { profile }) });
  const plan = (aborted: AbortSignal) => planRun(given, aborted);
  const prepared = await prepare(plan, options, resolved, signal);
  const { notes, failures } = prepared;
  if (prepared.arranged === null) {
    const text = "nothing would be warmed: the command names no model that is known";
    return { document: { command: line, moment: null, notes }, text: () => text, notes };
  }
  const { arranged, moment, launch, auto } = prepared;
  const runs = arranged.runs.map(runOf);
  const earlier = moment.when === "ready" ? flagsForAnEarlierMoment(launch) : undefined;
  const lockableBytes = (await loadShim()).lockableBytes();
  const document = {
    command: line,
    moment: { ...moment, urls: urlsOf(moment) },
    runs,
    budgetBytes: arranged.budgetBytes,
    lockableBytes: Number.isFinite(lockableBytes) ? lockableBytes : null,
    flagsForAnEarlierMoment: earlier ?? null,
    profile: auto?.sentence ?? null,
    verdict: arranged.verdicts[0] ?? null,
    notes: [...notes, ...arranged.notes, ...unrankedNotes(prepared)],
  };
  const text = () =>
    [
      momentLine(moment),
      ...runs.map(({ name, bytes, leftOutBytes }) => {
        const left = leftOutBytes === 0 ? "" : `, ${formatBytes(leftOutBytes)} left out`;
        return `  ${name}: ${formatBytes(bytes)}${left}`;
      }),
      ...(flags.lock === true ? [lockLine(lockableBytes)] : []),
      ...(earlier === undefined ? [] : [`with ${earlier} the start itself could be warmed`]),
      ...(auto === null ? [] : [auto.sentence]),
    ].join("\n");
  const shown = flags.quiet === true ? [] : document.notes;
  return { document, text, notes: shown, failures: failures.map(unopened) };
}

/** What is decided when the server has read its model. */
function unrankedNotes({ moment, arranged, options }: Prepared): string[] {
  if (moment.when === "beside") return [];
  const reasons = arranged.runs.map((run) => whyUnranked(run, options.profile));
  return reasons.flatMap((why) =>
    why === undefined ? [] : [`experts are left as they are if as many are resident then: ${why}`],
  );
}

function urlsOf(moment: Prepared["moment"]): string[] {
  return moment.when === "ready" ? moment.urls.map(({ url }) => url.href) : [];
}

function momentLine(moment: Prepared["moment"]): string {
  if (moment.when === "beside") return `would be warmed beside the start: ${moment.why}`;
  const urls = urlsOf(moment).join(" or ");
  const when = urls === "" ? "when the model is read" : `when ${urls} answers 200`;
  return `would be warmed ${when}: ${moment.why}`;
}

function runOf(run: Run) {
  if (run.kind !== "files") return { name: "memory", bytes: 0, leftOutBytes: 0 };
  const bytes = run.regions.reduce((sum, { byteLength = 0 }) => sum + byteLength, 0);
  const { name = "files", choice, label } = run;
  return { name, label, bytes, leftOutBytes: choice?.leftOutBytes ?? 0 };
}

function lockLine(lockableBytes: number): string {
  if (!Number.isFinite(lockableBytes)) return "all of it may be locked";
  return `at most ${formatBytes(lockableBytes)} may be locked; ${RAISE_LIMIT}`;
}
