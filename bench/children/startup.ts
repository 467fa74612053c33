/** Imports a module in a fresh process, and sweeps one page twice when it is the library. */
import { pathToFileURL } from "node:url";

export interface StartupTask {
  readonly module: string;
  /** A file whose first page is swept. */
  readonly path?: string;
}

export interface StartupOutcome {
  readonly importMs: number;
  /** Duration of the first and of the second call. */
  readonly callMs: readonly number[];
}

const { module, path } = JSON.parse(process.argv[2] ?? "{}") as StartupTask;
const url = pathToFileURL(module).href;
let started = performance.now();
const loaded = (await import(url)) as Partial<typeof import("prefault")>;
const importMs = performance.now() - started;
const callMs: number[] = [];
if (path !== undefined && loaded.prefault !== undefined) {
  const page = [{ path, offset: 0, byteLength: 4096 }];
  for (let call = 0; call < 2; call++) {
    started = performance.now();
    await loaded.prefault(page, { gate: "always", onError: "throw", log() {} });
    callMs.push(performance.now() - started);
  }
}
process.stdout.write(`${JSON.stringify({ importMs, callMs } satisfies StartupOutcome)}\n`);
