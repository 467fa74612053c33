import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { parseOutput, runChild } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;

const folder = temporaryFolder();
const path = join(folder, "weights.bin");
beforeAll(() => void writeDataFile(path, 8 * MIB));

/** Runs a module under a shell's limit or Node's own flags, and gives the JSON it prints. */
async function runUnder<Result>(limit: string, flags: readonly string[], script: string) {
  const before = limit === "" ? [] : ["bash", "-c", `${limit} exec "$@"`, "bash"];
  return parseOutput<Result>(await runChild(script, [path], { before, flags }));
}

const WARM = `
  import { prefault } from "prefault";
  const { ran, strategy, strategyReason, workers, error } = await prefault(process.argv[1], { log() {} });
  console.log(JSON.stringify({ ran, strategy, strategyReason, workers, code: error?.code }));
`;

const OTHERS = `
  import { evict, openModel, prefault, residency } from "prefault";
  const [path] = process.argv.slice(1);
  const { tensors } = await openModel(path);
  const { bytes } = await residency(path);
  await evict(path);
  process.env.PREFAULT = "0";
  const { reason } = await prefault(path, { log() {} });
  console.log(JSON.stringify({ tensors: tensors.length, bytes, reason }));
`;

const PLACES = [
  ["2 GiB of addresses", "ulimit -v 2097152;", []],
  ["8 GiB of addresses", "ulimit -v 8388608;", []],
  ["16 GiB of addresses", "ulimit -v 16777216;", []],
  ["3 GB of data", "ulimit -d 3000000;", []],
  ["no WebAssembly", "", ["--jitless"]],
] as const;

describe.skipIf(process.platform !== "linux").each(PLACES)("with %s", (_, limit, flags) => {
  test("auto reads, and says why", async () => {
    expect(await runUnder(limit, flags, WARM)).toMatchObject({
      ran: true,
      strategy: "read",
      strategyReason: expect.stringMatching(/could not be mapped|no worker thread/),
    });
  });

  test("everything else works, the kill switch included", async () => {
    expect(await runUnder(limit, flags, OTHERS)).toEqual({
      tensors: 1,
      bytes: 8 * MIB,
      reason: "disabled (PREFAULT=0)",
    });
  });
});

// Evicts, and asks for the strategies that Linux has.
describe.skipIf(process.platform !== "linux")("where the system gives no thread", () => {
  // As Node's permission model and a limit on threads do.
  const refuse = (after: number) => `
    import { createRequire, syncBuiltinESMExports } from "node:module";
    const threads = createRequire(import.meta.url)("node:worker_threads");
    const { Worker } = threads;
    let started = 0;
    threads.Worker = class extends Worker {
      constructor(...given) {
        if (started++ >= ${after}) throw Object.assign(new Error("EAGAIN"), { code: "ERR_WORKER_INIT_FAILED" });
        super(...given);
      }
    };
    syncBuiltinESMExports();
    process.on("unhandledRejection", () => process.exit(9));
    process.on("uncaughtException", () => process.exit(8));
  `;

  test("at all, auto reads on the main thread, which goes on", async () => {
    const script = `${refuse(0)}
      const { prefault } = await import("prefault");
      let turns = 0;
      const timer = setInterval(() => turns++, 0);
      const pending = prefault(process.argv[1], { log() {} });
      const { ran, workers, strategyReason, residentBytesAfter } = await pending;
      clearInterval(timer);
      console.log(JSON.stringify({ ran, workers, strategyReason, turned: turns > 0 }));`;
    expect(await runUnder("", [], script)).toEqual({
      ran: true,
      workers: 0,
      strategyReason:
        "read on the calling thread, because no worker thread could be started: EAGAIN",
      turned: true,
    });
  });

  test("but for a few, those do all the work", async () => {
    const script = `${refuse(2)}
      const { prefault } = await import("prefault");
      const options = { log() {}, workers: 4, chunkBytes: 65536 };
      const { ran, workers, strategy, error } = await prefault(process.argv[1], options);
      console.log(JSON.stringify({ ran, workers, strategy, code: error?.code }));`;
    expect(await runUnder("", [], script)).toEqual({ ran: true, workers: 2, strategy: "populate" });
  });

  test("a strategy that was asked for fails with a code", async () => {
    const script = `${refuse(0)}
      const { prefault } = await import("prefault");
      const { error } = await prefault(process.argv[1], { log() {}, strategy: "populate" });
      console.log(JSON.stringify(error.code));`;
    expect(await runUnder("", [], script)).toBe("PREFAULT_WORKER_FAILED");
  });

  test("an abort is answered at once, at any moment", async () => {
    const script = `${refuse(0)}
      import { getEventListeners } from "node:events";
      import { setTimeout as sleep } from "node:timers/promises";
      const { evict, prefault } = await import("prefault");
      const seen = new Set();
      for (let round = 0; round < 20; round++) {
        await evict(process.argv[1]);
        const controller = new AbortController();
        const { signal } = controller;
        const pending = prefault(process.argv[1], { log() {}, signal });
        await sleep(round);
        controller.abort();
        seen.add((await pending).error?.code ?? "done");
        if (getEventListeners(signal, "abort").length > 0) seen.add("a listener is left");
      }
      console.log(JSON.stringify([...seen]));`;
    const seen = await runUnder<string[]>("", [], script);
    expect(seen[0]).toBe("PREFAULT_ABORTED");
    expect(["PREFAULT_ABORTED", "done"]).toEqual(expect.arrayContaining(seen));
  });
});

// Evict and residency are refused elsewhere.
describe.skipIf(process.platform !== "linux")("in a worker thread of the caller's", () => {
  test("an abort at any moment ends neither the thread nor the process", async () => {
    const script = `
      import { once } from "node:events";
      import { Worker } from "node:worker_threads";
      const worker = new Worker(\`
        import { setTimeout as sleep } from "node:timers/promises";
        import { parentPort, workerData } from "node:worker_threads";
        import { evict, prefault, residency } from "prefault";
        const seen = new Set();
        for (const target of [workerData, workerData + ".absent"]) {
          for (let round = 0; round < 12; round++) {
            const controller = new AbortController();
            const pending = prefault(target, { log() {}, signal: controller.signal });
            if (round > 0) await sleep(round / 4);
            controller.abort();
            const { error } = await pending;
            seen.add(error?.code ?? "done");
          }
          const signal = AbortSignal.abort();
          for (const ask of [evict, residency]) {
            await ask(target, { signal }).catch((error) => seen.add(error.code));
          }
        }
        await sleep(200);
        parentPort.postMessage([...seen]);
      \`, { eval: true, workerData: process.argv[1] });
      const [seen] = await once(worker, "message");
      const [code] = await once(worker, "exit");
      console.log(JSON.stringify({ seen, code }));`;
    const { seen, code } = await runUnder<{ seen: string[]; code: number }>("", [], script);
    expect(code).toBe(0);
    expect(seen).toContain("PREFAULT_ABORTED");
    const known = ["PREFAULT_ABORTED", "PREFAULT_NOT_FOUND", "done"];
    expect(seen.filter((each) => !known.includes(each))).toEqual([]);
  });
});
