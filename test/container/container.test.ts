import { chmodSync, chownSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { fincore, writeDataFile } from "../helpers/data-file.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { run } from "../package/run.ts";
import { startContainer } from "./container.ts";
import { type BuiltImage, buildImage } from "./image.ts";

const MIB = 1024 ** 2;
const LIMIT_BYTES = 256 * MIB;
const SMALL_BYTES = 64 * MIB;
const MODEL_BYTES = 32 * MIB;

/** What is read of a file to find out its kind. */
const HEADER_BYTES = MIB;

const missing = await missingPrograms();

describe.skipIf(missing !== "")(`the image of the example${missing && `: ${missing}`}`, () => {
  const folder = temporaryFolder();
  const models = join(folder, "models");
  let image: BuiltImage;

  beforeAll(async () => {
    image = await buildImage(folder);
    mkdirSync(models);
    chmodSync(folder, 0o755);
    for (const [name, bytes] of [
      ["small", SMALL_BYTES],
      ["large", 1.5 * LIMIT_BYTES],
    ] as const) {
      // Who owns a file is told what of it is resident.
      chownSync(writeDataFile(join(models, name), bytes), image.user.uid, image.user.gid);
    }
    const path = join(models, "model.gguf");
    await writeSyntheticModel({ kind: "moe", path, targetBytes: MODEL_BYTES });
    chownSync(path, image.user.uid, image.user.gid);
  });

  function start(...args: string[]) {
    const container = startContainer(image, folder, { args, models, limitBytes: LIMIT_BYTES });
    onTestFinished(async () => {
      container.end();
      await container.ended;
    });
    return container;
  }

  test("runs as its own user, without a capability, and cannot write", async () => {
    const script = "id -u; cat /proc/self/status; touch /x";
    const { code, stdout, stderr } = await start("run", "--", "sh", "-c", script).ended;
    expect(stdout, stderr).toMatch(/^1000\n/);
    for (const set of ["CapBnd", "CapEff"])
      expect(stdout).toMatch(new RegExp(`^${set}:\\s0{16}$`, "m"));
    expect(stderr).toMatch(/Read-only file system/);
    expect(code).toBe(1);
  });

  test("warms a file of a mounted volume", async () => {
    await evictAll(join(models, "small"));
    const { code, stdout, stderr } = await start("/models/small", "--json").ended;
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ran: true, residentBytesAfter: SMALL_BYTES });
    expect(fincore(join(models, "small"))).toBe(SMALL_BYTES);
  });

  test("skips what exceeds the container's limit", async () => {
    await evictAll(join(models, "large"));
    const { code, stdout, stderr } = await start("/models/large", "--json").ended;
    expect(code, stderr).toBe(0);
    const { ran, reason } = JSON.parse(stdout);
    expect({ ran, reason }).toMatchObject({ ran: false });
    expect(reason).toMatch(/exceeds 80% of 0\.2\d GiB/);
    expect(fincore(join(models, "large"))).toBeLessThanOrEqual(HEADER_BYTES);
  });

  test("as the entry point, run passes SIGTERM on and ends with the command's status", async () => {
    const model = join(models, "model.gguf");
    await evictAll(model);
    const server = 'trap "echo got TERM; exit 7" TERM; echo ready; while :; do sleep 0.2; done';
    const running = start("run", "/models/model.gguf", "--", "sh", "-c", server);
    await until(() => (fincore(model) ?? 0) > 0.97 * MODEL_BYTES, "the model was warmed");
    const first = running.first();
    expect(readFileSync(`/proc/${first}/status`, "utf8")).toMatch(/^NSpid:\s+\d+\s+1$/m);
    process.kill(first ?? -1, "SIGTERM");
    const { code, stdout, stderr } = await running.ended;
    expect({ code, stdout }, stderr).toEqual({ code: 7, stdout: "ready\ngot TERM\n" });
  });
});

/** Why the image can be neither built nor run here, if it cannot. */
async function missingPrograms(): Promise<string> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "only for root on Linux";
  const names = ["buildah", "crun", "busybox", "unshare", "fincore"];
  const found = await Promise.all(names.map((name) => run("sh", ["-c", 'command -v "$0"', name])));
  const lacking = names.filter((_, index) => found[index]?.code !== 0);
  return lacking.length === 0 ? "" : `not installed: ${lacking.join(", ")}`;
}
