import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import koffi from "koffi";
import { prefault } from "prefault";
import { afterAll, describe, expect, test } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { runChild } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

/** What Electron would refuse: 16 bytes of the C library's memory, as a buffer and decoded. */
const SCRIPT = `
  const strerror = koffi.load(null).func("void *strerror(int)");
  const attempts = {
    view: () => koffi.view(strerror(1), 16).byteLength,
    decode: () => koffi.decode(strerror(1), koffi.array("uint8_t", 16)).length,
  };
  const outcomes = Object.entries(attempts).map(([name, attempt]) => {
    try { return name + " " + attempt(); } catch (error) { return error.message; }
  });
`;
const REFUSED = ["view", "decode"].map(
  (name) => `koffi.${name}: no ArrayBuffer over foreign memory in Electron's memory cage`,
);

/** That the suites that run in this project would notice: in each kind of place they run code. */
describe("the cage", () => {
  const folder = temporaryFolder();
  // In the repository, so that they find koffi.
  const scripts = mkdtempSync(join(import.meta.dirname, "../../build/cage-"));
  afterAll(() => rmSync(scripts, { recursive: true }));
  const script = `import koffi from "koffi"; ${SCRIPT} console.log(JSON.stringify(outcomes));`;

  test("holds in this process", () => {
    expect(() => koffi.view(1n, 16)).toThrow(REFUSED[0]);
    expect(() => koffi.decode(1n, "int")).toThrow(REFUSED[1]);
  });

  test("holds in a child process", async () => {
    const { stdout, stderr } = await runChild(script);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual(REFUSED);
  });

  test("is what refuses: a child without it gets its buffers", async () => {
    const { stdout } = await runChild(script, [], { env: { NODE_OPTIONS: "" } });
    expect(JSON.parse(stdout)).toEqual(["view 16", "decode 16"]);
  });

  test("holds in a thread that inherits no flags, as the pool's", async () => {
    const worker = join(scripts, "worker.mjs");
    writeFileSync(
      worker,
      `import koffi from "koffi"; import { parentPort } from "node:worker_threads";
       ${SCRIPT} parentPort.postMessage(outcomes);`,
    );
    const thread = new Worker(worker, { execArgv: [] });
    const outcomes = await new Promise((resolve, reject) => {
      thread.once("message", resolve);
      thread.once("error", reject);
    });
    expect(outcomes).toEqual(REFUSED);
  });

  test("holds in the workers", async () => {
    const worker = join(scripts, "worker.mjs");
    writeFileSync(
      worker,
      `import koffi from "koffi";
       export default () => { ${SCRIPT} throw new Error(outcomes.join(", ")); };`,
    );
    const report = await prefault(writeDataFile(join(folder, "data.bin"), 1024 ** 2), {
      gate: "always",
      workerUrl: pathToFileURL(worker),
      log() {},
    });
    // No worker took a chunk, so the file was read without them, for the reason that they gave.
    expect(report.strategyReason).toContain(REFUSED.join(", "));
  });
});
