import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Piscina } from "piscina";
import { afterEach, describe, expect, test } from "vitest";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

// What `src/sweep/pool.ts` relies on and piscina's documentation does not promise. A version that
// behaves otherwise fails here, and not in a user's process.

const folder = temporaryFolder();
const pools: Piscina[] = [];
afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.destroy();
});

function pool(name: string, text: string): Piscina {
  const file = join(folder, name);
  writeFileSync(file, text);
  const made = new Piscina({
    filename: pathToFileURL(file).href,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
  });
  pools.push(made);
  return made;
}

describe("piscina", () => {
  test("starts no thread before the first task, and one with it, which `threads` shows at once", async () => {
    const made = pool("answer.mjs", "export default () => 42;");
    expect(made.threads).toHaveLength(0);
    const result = made.run(null);
    expect(made.threads).toHaveLength(1);
    expect(await result).toBe(42);
  });

  test("tells with workerCreate that a thread is about to get its task", async () => {
    const made = pool("answer.mjs", "export default () => 42;");
    let created = 0;
    made.on("workerCreate", () => created++);
    await made.run(null);
    expect(created).toBe(1);
  });

  test("emits error for a thread whose file cannot be loaded, and leaves the task waiting", async () => {
    const made = pool("throws.mjs", "throw new Error('at import');");
    let isSettled = false;
    const result = made.run(null).finally(() => {
      isSettled = true;
    });
    result.catch(() => {});
    const [error] = await once(made, "error");
    expect(error).toMatchObject({ message: "at import" });
    expect(isSettled).toBe(false);
    await made.destroy();
    await expect(result).rejects.toThrow("Terminating worker thread");
  });

  test("says nothing of a thread that exits while it boots; the thread itself does", async () => {
    const made = pool("exits.mjs", "process.exit(3);");
    made.on("error", () => expect.unreachable());
    const result = made.run(null);
    result.catch(() => {});
    const [thread] = made.threads;
    const code = await new Promise((resolve) => thread?.once("exit", resolve));
    expect(code).toBe(3);
    await made.destroy();
    await expect(result).rejects.toThrow();
  });

  test("rejects the task of a thread that exits in the middle", async () => {
    const made = pool("dies.mjs", "export default () => process.exit(3);");
    await expect(made.run(null)).rejects.toThrow("exited with code: 3");
  });

  test("ends its threads with destroy", async () => {
    const made = pool("answer.mjs", "export default () => 42;");
    await made.run(null);
    const [thread] = made.threads;
    const exit = new Promise((resolve) => thread?.once("exit", resolve));
    await made.destroy();
    await exit;
    expect(made.threads).toHaveLength(0);
  });
});
