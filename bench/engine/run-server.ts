import { existsSync } from "node:fs";
import { loadShim } from "../../shims/index.ts";
import { describeOpenFile, openFile } from "../../src/file/open-file.ts";
import { bytesReadBy } from "../loop-disk.ts";
import type { Subjects } from "../subject.ts";
import { type Completion, type CompletionRequest, Server, type ServerStart } from "./client.ts";
import { MemoryGroup } from "./memory-group.ts";

/** One run of a server: cold start, health, one completion. */
export interface ServerRun extends Omit<ServerStart, "cgroups"> {
  /** Of the cgroup the server lives in, with all it starts; none where it is left out. */
  readonly limitBytes?: number;
  readonly request: CompletionRequest;
  /** What is done to the cold file before the server starts. */
  readonly before?: (group: MemoryGroup | undefined) => Promise<Holder | undefined>;
  /** What is done between its first 200 of `/health` and the request. */
  readonly whenHealthy?: (
    server: Server,
    group: MemoryGroup | undefined,
  ) => Promise<Holder | undefined>;
}

/** Something that is held until the run is over, such as locked pages. */
export interface Holder {
  release(): Promise<void>;
}

/** Seconds but for the bytes. */
export interface ServerOutcome extends Completion {
  readonly before: number;
  readonly toHealthy: number;
  readonly whenHealthy: number;
  /** Of the file, when the request was made. */
  readonly residentBytes: number;
  /** By the device the model lies on: to `/health`, then to the request, and during it. */
  readonly readBytes: {
    readonly start: number;
    readonly between: number;
    readonly request: number;
  };
  readonly stderr: string;
}

/**
 * Starts the server on a cold file, proven cold by a residency of 0, and asks it once.
 *
 * @param subjects makes the file cold
 */
export async function runServer(subjects: Subjects, run: ServerRun): Promise<ServerOutcome> {
  const { model, limitBytes, request } = run;
  await subjects.cool(model);
  const group = limitBytes === undefined ? undefined : new MemoryGroup(limitBytes);
  const holders: (Holder | undefined)[] = [];
  let server: Server | undefined;
  try {
    const began = performance.now();
    holders.push(await run.before?.(group));
    const before = (performance.now() - began) / 1000;
    const cold = bytesReadBy(model);
    server = await Server.start({ ...run, ...(group && { cgroups: [group.procs] }) });
    const toHealthy = await server.healthy();
    const healthy = performance.now();
    const loaded = bytesReadBy(model);
    holders.push(await run.whenHealthy?.(server, group));
    const whenHealthy = (performance.now() - healthy) / 1000;
    const prepared = bytesReadBy(model);
    const residentBytes = await residentBytesOf(model);
    const completion = await server.complete(request);
    return {
      ...completion,
      before,
      toHealthy,
      whenHealthy,
      residentBytes,
      readBytes: {
        start: loaded - cold,
        between: prepared - loaded,
        request: bytesReadBy(model) - prepared,
      },
      stderr: server.stderr,
    };
  } finally {
    await server?.stop();
    for (const holder of holders) await holder?.release();
    await group?.remove();
  }
}

/** Why no server can be run; nothing when one can. */
export function whyNoServer(engine: string): string | undefined {
  return existsSync(`${engine}/node_modules/node-llama-cpp`)
    ? undefined
    : `node-llama-cpp is not in ${engine} (scripts/install-engine.ts puts it there)`;
}

async function residentBytesOf(path: string): Promise<number> {
  const shim = await loadShim();
  const file = await openFile(path);
  try {
    const described = await describeOpenFile(file, shim);
    return shim.residentBytes(described, 0, file.byteLength) ?? Number.NaN;
  } finally {
    await file.handle.close();
  }
}
