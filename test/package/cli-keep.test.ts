import { chmodSync, copyFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { NOBODY, whyNotAsNobody } from "../helpers/another-user.ts";
import { type BudgetModel, cachedBytes, writeBudgetModel } from "../helpers/budget-model.ts";
import { hasFincore } from "../helpers/data-file.ts";
import { fakeRun, freePort } from "../helpers/fake-server.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { metric, parseMetrics } from "../helpers/prometheus.ts";
import { type ChildOptions, type Ended, type Started, startProcess } from "../helpers/run-child.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { prefault, start } from "./cli-process.ts";

describe.skipIf(process.platform !== "linux" || !hasFincore)("prefault keep", () => {
  let folder: string;
  let model: BudgetModel;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "prefault-cli-keep-"));
    // Someone else has to get to the model.
    chmodSync(folder, 0o755);
    model = await writeBudgetModel(join(folder, "model.gguf"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** Starts the command, which ends with the test. */
  function startKeep(args: readonly string[], options?: ChildOptions): Started {
    const started = start(["keep", ...args], options);
    onTestFinished(async () => {
      started.kill("SIGKILL");
      await started.ended;
    });
    return started;
  }

  /** The same, listening. Cold, unless a process has it mapped. */
  async function serve(args: readonly string[], options?: ChildOptions) {
    if (!args.includes("--pid")) await evictAll(...model.paths);
    const port = await freePort();
    const started = startKeep([...args, "--listen", String(port), "--every", "200ms"], options);
    const ask = async (path: string, init?: RequestInit) => {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, init).catch(() => undefined);
      const text = await answer?.text();
      return { status: answer?.status, headers: answer?.headers, text: text ?? "" };
    };
    const ready = async (status = 200) => {
      for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(30)) {
        const answer = await ask("/ready");
        if (answer.status === status) return answer;
      }
      throw new Error(`/ready never answered ${status}`);
    };
    const metrics = async () => parseMetrics((await ask("/metrics")).text);
    return { ...started, port, ask, ready, metrics };
  }

  async function stop({ kill, ended }: Started, signal: NodeJS.Signals): Promise<Ended> {
    kill(signal);
    return ended;
  }

  it.each(["SIGTERM", "SIGINT"] as const)("ends with 0 by %s", looksAtPageCache, async (signal) => {
    const server = await serve([model.path]);
    const { text } = await server.ready();
    expect(text).toMatch(/^warm: .* are resident\n$/);
    expect(cachedBytes(model.paths)).toBeGreaterThanOrEqual(mostOf(model.bytes));
    const { code, stdout, stderr } = await stop(server, signal);
    expect(code).toBe(0);
    expect(stdout).toBe("filled again 0 times, 0 B; postponed 0 times\n");
    expect(stderr).toMatch(
      /^prefault: http:.*\n\[prefault\] Pre-faulted .*\nprefault: resident: .*\n$/,
    );
  });

  it("ends with 0 when it is stopped while it fills", async () => {
    for (const ms of [0, 150, 250, 350, 450, 600]) {
      await evictAll(...model.paths);
      const started = startKeep([model.path, "--json", "--lock"]);
      await sleep(ms);
      const { code, signal, stdout } = await stop(started, "SIGTERM");
      // Before it has a handler the signal ends it.
      if (signal === null) expect({ ms, code }).toEqual({ ms, code: 0 });
      if (signal === null) expect(JSON.parse(stdout)).toMatchObject({ pid: null, refills: 0 });
    }
  });

  it("leaves nothing locked when it is killed", looksAtPageCache, async () => {
    for (const ms of [200, 400, 1000]) {
      await evictAll(...model.paths);
      const started = startKeep([model.path, "--lock", "--quiet"]);
      await sleep(ms);
      expect((await stop(started, "SIGKILL")).signal).toBe("SIGKILL");
      // What is locked cannot be evicted.
      await evictAll(...model.paths);
    }
  });

  it("is not ready before it is warm", looksAtPageCache, async () => {
    const server = await serve([model.path, "--gate", "always"]);
    const seen = new Set<number | undefined>();
    while (!seen.has(200)) seen.add((await server.ask("/ready")).status);
    expect([...seen].at(-1)).toBe(200);
    expect([...seen]).toEqual(expect.arrayContaining([503]));
  });

  it(
    "says of what it is not told about that it is filled from time to time",
    looksAtPageCache,
    async ({ skip }) => {
      const why = await whyNotAsNobody();
      if (why !== undefined) skip(why);
      const server = await serve([model.path], { uid: NOBODY });
      const { text } = await server.ready();
      expect(text).toMatch(/^warm: .* were filled; the system does not say/);
      const { code, stderr } = await stop(server, "SIGTERM");
      expect(code).toBe(0);
      expect(stderr).toMatch(/it is filled again from time to time until this is stopped\n$/);
    },
  );

  it("serves metrics, by model and run", looksAtPageCache, async () => {
    const server = await serve([model.path, "-ngl", "1", "--cpu-moe", "--lock"]);
    await server.ready();
    const { headers, text } = await server.ask("/metrics");
    expect(headers?.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const samples = parseMetrics(text);
    const wanted = samples.filter(({ name }) => name === "prefault_wanted_bytes");
    expect(wanted.map(({ labels }) => labels)).toEqual([
      { model: model.path, run: "core" },
      { model: model.path, run: "experts" },
    ]);
    const resident = samples.filter(({ name }) => name === "prefault_resident_bytes");
    expect(resident.map(({ value }) => value)).toEqual(wanted.map(({ value }) => value));
    expect(metric(samples, "prefault_warm")).toBe(1);
    expect(metric(samples, "prefault_locked_bytes")).toBeGreaterThan(0);
    expect(metric(samples, "prefault_refills_total")).toBe(0);
  });

  it("answers GET and HEAD of two paths, and keeps no connection", looksAtPageCache, async () => {
    const server = await serve([model.path]);
    await server.ready();
    expect(await server.ask("/")).toMatchObject({ status: 404 });
    expect(await server.ask("/metrics/")).toMatchObject({ status: 404 });
    expect(await server.ask("/ready?verbose")).toMatchObject({ status: 200 });
    expect(await server.ask("/ready", { method: "POST", body: "x" })).toMatchObject({
      status: 405,
    });
    const head = await server.ask("/metrics", { method: "HEAD" });
    expect(head).toMatchObject({ status: 200, text: "" });
    expect(head.headers?.get("connection")).toBe("close");
    // One that says nothing does not hold up the end.
    const silent = connect(server.port, "127.0.0.1");
    silent.on("error", () => {});
    await new Promise((resolve) => silent.once("connect", resolve));
    const started = performance.now();
    expect(await stop(server, "SIGTERM")).toMatchObject({ code: 0 });
    expect(performance.now() - started).toBeLessThan(4000);
    silent.destroy();
  });

  it("prints the state at its end with --json", looksAtPageCache, async () => {
    const server = await serve([model.path, "--json", "--quiet"]);
    await server.ready();
    const { code, stdout, stderr } = await stop(server, "SIGINT");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({
      ran: true,
      warm: true,
      pid: null,
      runs: [{ name: "files", path: model.path }],
      lockedBytes: 0,
      refills: 0,
      refilledBytes: 0,
      failures: [],
    });
  });

  it("stays alive with the kill switch, and is ready", async () => {
    const server = await serve([model.path], { env: { PREFAULT: "0" } });
    expect((await server.ready()).text).toMatch(
      /^nothing is to be warmed: disabled \(PREFAULT=0\)\n$/,
    );
    expect(metric(await server.metrics(), "prefault_warm")).toBe(0);
    await sleep(500);
    expect(cachedBytes(model.paths)).toBe(0);
    const { code, stderr } = await stop(server, "SIGTERM");
    expect(code).toBe(0);
    expect(stderr).toMatch(/disabled \(PREFAULT=0\): nothing is warmed/);
  });

  it("waits for room where a gate skips it, and is not ready", async () => {
    const huge = join(folder, "huge.bin");
    writeFileSync(huge, "");
    truncateSync(huge, 500 * 1024 ** 3);
    const server = await serve([huge]);
    let text = "";
    for (const deadline = Date.now() + 60_000; !/skipped/.test(text) && Date.now() < deadline; ) {
      ({ text } = await server.ready(503));
    }
    expect(text).toMatch(/^not warm: skipped: 500\.00 GiB exceeds/);
    const { code, stderr } = await stop(server, "SIGTERM");
    expect(code).toBe(0);
    expect(stderr).toMatch(/Pre-fault skipped: 500\.00 GiB exceeds/);
    expect(stderr).toMatch(/this runs on until it is stopped/);
  });

  it("ends with 1 when a file shrinks", async () => {
    const path = join(folder, "shrinks");
    writeFileSync(path, Buffer.alloc(1024 ** 2, 1));
    const server = await serve([path]);
    await server.ready();
    truncateSync(path, 4096);
    const { code, stderr } = await server.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/shrank from 1048576 to 4096 bytes\n$/);
  });

  it("ends with 1 when a file is replaced", looksAtPageCache, async () => {
    const path = join(folder, "replaced.gguf");
    copyFileSync(model.path, path);
    const server = await serve([path]);
    await server.ready();
    copyFileSync(model.path, `${path}.new`);
    renameSync(`${path}.new`, path);
    const { code, stderr } = await server.ended;
    expect(code).toBe(1);
    expect(stderr.trimEnd().split("\n").at(-1)).toMatch(
      /^prefault: .* was replaced by another file/,
    );
    expect(stderr.match(/was replaced/g)).toHaveLength(1);
  });

  describe("of a process", () => {
    /** A server that has mapped the model, started by another process as a launcher starts it. */
    async function startServer() {
      const { env, cwd, program, ready } = fakeRun(folder, { maps: true });
      const line = ["sh", "-c", `"$0" "$@"; exit $?`, program, "-m", model.path];
      const { pid, kill, ended } = startProcess(line, { env, cwd });
      onTestFinished(() => kill("SIGKILL"));
      const server = await ready();
      onTestFinished(() => {
        try {
          process.kill(server, "SIGKILL");
        } catch {
          // It has ended.
        }
      });
      return { pid, server, ended };
    }

    it("shows what it has mapped and what of it is resident", looksAtPageCache, async () => {
      const { pid } = await startServer();
      const { code, stdout, stderr } = await prefault(["status", "--pid", String(pid)]);
      expect(code).toBe(0);
      expect(stdout).toContain(`${model.path}: `);
      expect(stdout).toMatch(/100\.0 % resident/);
      expect(stderr).toContain(`process ${pid} has mapped `);
      const json = await prefault(["status", "--pid", String(pid), "--json"]);
      const { files } = JSON.parse(json.stdout);
      expect(files).toMatchObject([{ path: model.path, bytes: model.bytes }]);
    });

    it("keeps what it has mapped, and ends with it", looksAtPageCache, async () => {
      const { pid, server } = await startServer();
      const kept = await serve(["--pid", String(pid), "--json"]);
      await kept.ready();
      expect(metric(await kept.metrics(), "prefault_wanted_bytes")).toBeGreaterThanOrEqual(
        model.bytes,
      );
      process.kill(server, "SIGKILL");
      const { code, stdout } = await kept.ended;
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ pid, warm: true });
    });

    it("plans it where a placement is given", looksAtPageCache, async () => {
      const { pid } = await startServer();
      const kept = await serve(["--pid", String(pid), "-ngl", "99", "--cpu-moe", "--json"]);
      await kept.ready();
      const { stdout } = await stop(kept, "SIGTERM");
      const { runs } = JSON.parse(stdout);
      expect(runs.map(({ name }: { name: string }) => name)).toEqual(["core", "experts"]);
    });
  });

  it("is in the help, with its flags", async () => {
    expect((await prefault(["--help"])).stdout).toMatch(/^ {2}keep /m);
    const { code, stdout } = await prefault(["keep", "--help"]);
    expect(code).toBe(0);
    const flags = ["--budget", "--reserve", "--profile", "--lock", "--every", "--listen", "--pid"];
    for (const flag of [...flags, "-ngl", "--quiet", "--json"]) expect(stdout).toContain(flag);
  });
});
