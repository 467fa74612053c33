import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { ServerStatus } from "../../../examples/electron/src/ipc.ts";
import { type FakeRun, type FakeServerConfig, fakeRun } from "../../helpers/fake-server.ts";
import { until } from "../../helpers/process-facts.ts";
import { WarmerProcess } from "./warmer-process.ts";

export type Running = Extract<ServerStatus, { state: "running" }>;

/** The example's utility process with settings of its own, and a server for them. Linux only. */
export interface ServerHost extends FakeRun {
  readonly warmer: WarmerProcess;
  /** The path of the settings. */
  readonly settings: string;
}

/**
 * Starts it. Whatever the test does, nothing may be left of it.
 *
 * @param server what the settings say of the server, by the fake server's program
 */
export async function serverHost(
  app: string,
  folder: string,
  server: (program: string) => unknown,
  config: FakeServerConfig = {},
): Promise<ServerHost> {
  const fake = fakeRun(folder, { lingersMs: 0, ...config });
  const settings = join(mkdtempSync(join(folder, "user data ")), "settings.json");
  writeFileSync(settings, JSON.stringify({ server: server(fake.program) }));
  const script = join(app, "dist/warmer.js");
  const warmer = await WarmerProcess.start(script, { env: fake.env, settings });
  onTestFinished(async () => {
    await warmer.end();
    await until(() => fake.processes().length === 0, "all processes were gone");
  });
  return { ...fake, warmer, settings };
}

export const is = (state: ServerStatus["state"]) => (status: ServerStatus) =>
  status.state === state;

export function isRunning(status: ServerStatus): status is Running {
  return status.state === "running";
}

/** @returns the server's process, when it is ready */
export async function start({ warmer, ready }: ServerHost): Promise<number> {
  warmer.fromWindow({ kind: "start-server" });
  await warmer.untilServer(isRunning);
  return ready();
}
