import { expect, onTestFinished } from "vitest";
import {
  type FakeRun,
  type FakeServerConfig,
  fakeRun,
  listensToSignals,
} from "../helpers/fake-server.ts";
import { until } from "../helpers/process-facts.ts";
import type { ChildOptions, Started } from "../helpers/run-child.ts";
import { start } from "../package/cli-process.ts";

export interface Running extends FakeRun {
  readonly prefault: Started;
}

export interface How extends FakeServerConfig {
  /** Options of ours. */
  readonly own?: readonly string[];
  /** The command. @defaultValue the fake server with the model */
  readonly line?: (run: FakeRun) => readonly string[];
  readonly before?: ChildOptions["before"];
  readonly env?: NodeJS.ProcessEnv;
}

/** When the test is over, nothing of its run may be left, and nothing that it wrote. */
export function startRun(
  folder: string,
  modelPath: string,
  { own = [], line, before, env, ...config }: How = {},
): Running {
  const fake = fakeRun(folder, config);
  const words = line?.(fake) ?? [fake.program, "-m", modelPath];
  const prefault = start(["run", ...own, "--", ...words], {
    env: { ...fake.env, ...env },
    cwd: fake.cwd,
    ...(before && { before }),
  });
  onTestFinished(async ({ task }) => {
    try {
      if (task.result?.state === "fail") return;
      await until(() => fake.processes().length === 0, "the processes of the run were gone");
      expect(fake.written()).toEqual([]);
    } finally {
      for (const pid of fake.processes()) process.kill(pid, "SIGKILL");
    }
  });
  return { ...fake, prefault };
}

/** With its server ready, and a process beside it that warms. @returns the server's process */
export async function isUp({ ready, warmers }: FakeRun): Promise<number> {
  const server = await ready();
  await until(() => warmers().some(listensToSignals), "the warming process listened");
  return server;
}

/** Kills the process that warms. */
export async function endWarming({ warmers }: FakeRun): Promise<void> {
  for (const pid of warmers()) process.kill(pid, "SIGKILL");
  await until(() => warmers().length === 0, "the warming process was gone");
}
