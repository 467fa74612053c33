import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { fakeRun, freePort } from "../helpers/fake-server.ts";
import { until } from "../helpers/process-facts.ts";
import { type Ended, startProcess } from "../helpers/run-child.ts";

/** What became of a server that an example's command has started. */
export interface ServerEnded extends Ended {
  /** That the server got. */
  readonly signals: readonly string[];
  /** Processes that are still there afterwards. */
  readonly left: readonly number[];
}

/** Runs an example's command with a stand-in for llama-server, until it has warmed; then stops it. */
export async function startedBy(
  line: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<ServerEnded> {
  const folder = mkdtempSync(join(tmpdir(), "prefault-operators-"));
  const server = fakeRun(folder, { maps: true });
  const PATH = `${dirname(server.program)}${delimiter}${env["PATH"]}`;
  const port = String(await freePort());
  const here = line.map((word) => word.replace(/(^|\s)8080(?=\s|$)/, `$1${port}`));
  const options = { env: { ...env, ...server.env, PATH }, cwd: server.cwd };
  const started = startProcess(here, options);
  onTestFinished(async () => {
    started.kill("SIGKILL");
    await started.ended;
    await until(() => server.processes().length === 0, "all processes ended").catch(() => {});
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  await server.ready();
  // A budget's part waits for /health, is filled, and may be locked.
  await until(() => started.output.stderr.includes("Pre-faulted"), "it was warmed").catch(() => {});
  started.kill("SIGTERM");
  const ended = await started.ended;
  await until(() => server.processes().length === 0, "all processes ended").catch(() => {});
  return { ...ended, signals: server.signals(), left: server.processes() };
}

/** Runs an example's command that listens, until its probe succeeds; then stops it. */
export async function servedBy(
  line: readonly string[],
  path: string,
  env: NodeJS.ProcessEnv,
): Promise<Ended & { readonly ready: string; readonly metrics: string }> {
  const port = await freePort();
  const here = line.map((word) => word.replace(/:9100$/, `:${port}`));
  const started = startProcess(here, { env });
  const ask = async (at: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${at}`).catch(() => undefined);
    return answer?.status === 200 ? answer.text() : undefined;
  };
  let ready: string | undefined;
  for (const deadline = Date.now() + 60_000; ready === undefined && Date.now() < deadline; ) {
    await sleep(100);
    ready = await ask(path);
  }
  const metrics = (await ask("/metrics")) ?? "";
  started.kill("SIGTERM");
  return { ...(await started.ended), ready: ready ?? "", metrics };
}
