import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type BudgetModel, writeBudgetModel, writeCsvProfile } from "../helpers/budget-model.ts";
import { fakeRun } from "../helpers/fake-server.ts";
import { onPosix } from "../helpers/platform.ts";
import { runProcess } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { CLI, prefault } from "./cli-process.ts";

const MIB = 1024 ** 2;

const folder = temporaryFolder();
let model: BudgetModel;
const profile = join(folder, "profile.csv");

beforeAll(async () => {
  model = await writeBudgetModel(join(folder, "model.gguf"));
  writeCsvProfile(profile, model, 1.2, 0);
});

function executable(name: string, text: string, mode = 0o755): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

/** Runs a command by `prefault run`, with no options of ours but these. */
const run = (line: readonly string[], own: readonly string[] = [], options = {}) =>
  prefault(["run", ...own, "--", ...line], options);

const node = (script: string, ...args: string[]) => [process.execPath, "-e", script, ...args];

describe("the command of prefault run", () => {
  it("writes to stdout and stderr what it writes, byte by byte", async () => {
    const script = `
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      process.stdout.write(bytes);
      process.stderr.write("err\\r\\nno newline at the end");`;
    // Only what is no text is lost on the way through a string.
    const hex = executable("hex", `#!/bin/sh\n"$@" | od -An -v -tx1 | tr -d ' \\n'\n`);
    const ended = await runProcess([
      ...[hex, process.execPath, CLI, "run", "-q", "--"],
      ...node(script),
    ]);
    const bytes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
    expect(ended).toMatchObject({
      code: 0,
      stdout: bytes.join(""),
      stderr: expect.stringContaining("err\r\nno newline at the end"),
    });
  });

  it("reads the stdin that prefault has", async () => {
    const feed = executable("feed", `#!/bin/sh\nprintf 'a line\\n\\001end' | "$@"\n`);
    const ended = await runProcess([feed, process.execPath, CLI, "run", "--", "cat"]);
    expect(ended).toMatchObject({ code: 0, stdout: "a line\n\u0001end" });
  });

  it("has the environment, the arguments and the folder that it was given", async () => {
    const script = `console.log(JSON.stringify([process.env.OF_MINE, process.cwd(), process.argv.slice(1)]))`;
    const args = ["", "two words", "--json", "-q", "--", "ü\n$HOME", "--dry-run"];
    const ended = await run(node(script, "x", ...args), [], {
      env: { OF_MINE: "a=b c\n" },
      cwd: folder,
    });
    expect(JSON.parse(ended.stdout)).toEqual(["a=b c\n", folder, ["x", ...args]]);
  });

  it.each([0, 3, 127, 200])("ends with its status: %i", async (status) => {
    expect((await run(["sh", "-c", `exit ${status}`])).code).toBe(status);
    expect((await run([executable("script", `#!/bin/sh\nexit ${status}\n`)])).code).toBe(status);
  });

  it("begins without -- at the first word that is no flag, as behind npm exec", async () => {
    const line = ["sh", "-c", 'echo "$@"; exit 5', "sh", "--json", "-q"];
    const ended = await prefault(["run", "--budget", "1G", "--lock", ...line]);
    expect(ended).toMatchObject({ code: 5, stdout: "--json -q\n" });
  });
});

describe("a command that cannot be started", () => {
  const plain = join(folder, "plain");
  mkdirSync(join(folder, "folder"));
  mkdirSync(join(folder, "no-such-command"));
  writeFileSync(plain, "#!/bin/sh\n");

  it.each([
    [
      "that is in no folder of PATH",
      ["no-such-command"],
      127,
      /no-such-command: command not found/,
    ],
    ["that is not there", ["/nowhere/llama-server"], 127, /llama-server: command not found/],
    ["without the right to be executed", [plain], 126, /plain cannot be started: .*EACCES/],
    ["that is a folder", [join(folder, "folder")], 126, /folder cannot be started: .*EACCES/],
    ["below what is no folder", [join(plain, "x")], 126, /x cannot be started: .*ENOTDIR/],
  ])("%s fails as in a shell", async (_, line, code, why) => {
    const ended = await run([...line, "-m", model.path], [], { cwd: folder });
    expect(ended).toMatchObject({ code, signal: null, stdout: "" });
    expect(ended.stderr).toMatch(why);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
  });

  it("because its interpreter is missing says so", async () => {
    const ended = await run([executable("orphan", "#!/nowhere/sh\n")]);
    expect(ended).toMatchObject({ code: 126, stdout: "" });
    expect(ended.stderr).toMatch(/orphan cannot be started: its interpreter was not found/);
  });

  it("because there is none is wrong usage, as is an unknown flag", async () => {
    for (const args of [
      [],
      ["--"],
      ["--lock", "--"],
      ["--", "", "-m"],
      ["--loock", "--", "sh", "-c", "echo started"],
    ]) {
      const ended = await prefault(["run", ...args]);
      expect(ended).toMatchObject({ code: 2, stdout: "" });
      expect(ended.stderr).toMatch(/^prefault: (no command given|unknown option)/);
    }
  });
});

onPosix("what prefault run does beside the command", () => {
  it("is said on stderr, and nothing with --quiet", async () => {
    // Long enough that it is warmed before, whatever else the machine does.
    const slow = fakeRun(folder, { ending: { afterMs: 10_000, code: 4 } });
    const said = await run([slow.program, "-m", model.path], [], slow);
    const { program, env, cwd } = fakeRun(folder, { ending: { afterMs: 3000, code: 4 } });
    const line = [program, "-m", model.path];
    expect(said).toMatchObject({ code: 4, stdout: "" });
    expect(said.stderr).toMatch(/Pre-faulted \d\.\d\d GiB/);
    expect(await run(line, ["--quiet"], { env, cwd })).toMatchObject({
      code: 4,
      stdout: "",
      stderr: "",
    });
  });

  it.each([["PREFAULT"], ["SHARPI_PREFAULT"]])("is no warming with %s=0", async (name) => {
    const { program, env, cwd, processes, warmers } = fakeRun(folder, {
      loadMs: 1500,
      ending: { code: 4 },
    });
    const running = run([program, "-m", model.path], [], { cwd, env: { ...env, [name]: "0" } });
    const seen = new Set<number>();
    for (let isRunning = true; isRunning; ) {
      const ended = await Promise.race([running, once(AbortSignal.timeout(50), "abort")]);
      for (const pid of processes()) seen.add(pid);
      expect(warmers()).toEqual([]);
      isRunning = Array.isArray(ended);
    }
    expect(await running).toMatchObject({ code: 4, stdout: "" });
    expect((await running).stderr).toBe(`prefault: warming is disabled (${name}=0)\n`);
    // The third is `cat`, the witness of signals that are sent to the whole group.
    expect(seen.size).toBe(3);
  });

  it("leaves the socket of a service manager to the command", async () => {
    // A server of its own would tell systemd that it is ready through it.
    const { env, cwd } = fakeRun(folder);
    const script = "process.stdout.write(String(process.env.NOTIFY_SOCKET))";
    const notified = { ...env, NOTIFY_SOCKET: "/run/of/systemd" };
    const ended = await run(node(script), [], { env: notified, cwd });
    expect(ended).toMatchObject({ code: 0, stdout: "/run/of/systemd" });
  });

  const isRoot = process.getuid?.() === 0 && process.platform === "linux";
  const pid1 = [
    ["its status", "exit 7", 7],
    ["a death by SIGKILL", "kill -9 $$", 137],
    // The first process of a container cannot end itself by a signal.
    ["a death by SIGTERM", "kill -15 $$", 143],
  ] as const;
  it.skipIf(!isRoot).each(pid1)(
    "as the first process of a container passes on %s",
    async (...of) => {
      const [, script, code] = of;
      const before = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
      const ended = await run(["sh", "-c", script], [], { before });
      expect(ended).toMatchObject({ code, signal: null });
    },
  );
});

describe("--dry-run", () => {
  async function dry(line: readonly string[], own: readonly string[] = [], env = {}) {
    const text = await run(line, ["--dry-run", ...own], { env });
    const json = await run(line, ["--dry-run", "--json", ...own], { env });
    expect(json.code).toBe(text.code);
    return { ...text, document: JSON.parse(json.stdout) };
  }

  const server = () => ["/nowhere/llama-server", "-m", model.path];
  const budget = ["--budget", "8M", "--profile", profile];

  it("starts nothing, and says when a model that fits would be warmed", async () => {
    const { code, stdout, document } = await dry([...server(), "--port", "7"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^would be warmed beside the start: all of it fits in memory\n/);
    expect(document).toMatchObject({
      command: [...server(), "--port", "7"],
      moment: { when: "beside", urls: [] },
      budgetBytes: null,
    });
    const bytes = document.runs.reduce((sum: number, run: { bytes: number }) => sum + run.bytes, 0);
    expect(bytes).toBeGreaterThan(0.9 * model.bytes);
  });

  it("says what a part would wait for, and what it is", async () => {
    const line = [...server(), "--host", "0.0.0.0", "--port", "7", "--api-prefix", "/a"];
    const { stdout, document } = await dry(line, budget);
    expect(stdout).toMatch(
      /^would be warmed when http:\/\/127\.0\.0\.1:7\/a\/health answers 200: /,
    );
    expect(stdout).toMatch(/\n {2}core: .*\n {2}experts: .*left out/);
    expect(document).toMatchObject({
      moment: { when: "ready", urls: ["http://127.0.0.1:7/a/health"], isGiven: false },
      budgetBytes: 8 * MIB,
      flagsForAnEarlierMoment: null,
      verdict: { worth: "worth it" },
    });
    expect(document.runs.map(({ name }: { name: string }) => name)).toEqual(["core", "experts"]);
  });

  it("says both ports where the line names none, and the URL that was given", async () => {
    const both = await dry(server(), budget);
    expect(both.stdout).toMatch(/127\.0\.0\.1:8080\/health or http:\/\/127\.0\.0\.1:9931\/health/);
    const given = await dry(server(), [...budget, "--after", "https://host/ready"]);
    expect(given.stdout).toMatch(/when https:\/\/host\/ready answers 200: --after says so/);
    expect(given.document.moment).toMatchObject({ urls: ["https://host/ready"], isGiven: true });
  });

  it("tells the flags with which ik_llama.cpp could be warmed at its start", async () => {
    const ik = (...flags: string[]) => [
      "/opt/ik_llama.cpp/llama-server",
      "-m",
      model.path,
      ...flags,
    ];
    const reading = await dry(ik(), budget);
    expect(reading.stdout).toMatch(/with --defer-experts --no-warmup the start itself/);
    const deferring = await dry(ik("--defer-experts", "--no-warmup"), budget);
    expect(deferring.stdout).toMatch(/^would be warmed beside the start: the engine does not read/);
    expect(deferring.document.flagsForAnEarlierMoment).toBeNull();
  });

  it("says how much may be locked", async () => {
    const { stdout } = await dry(server(), [...budget, "--lock"]);
    expect(stdout).toMatch(/all of it may be locked|at most .* may be locked; raise it by/);
  });

  it("says where the use of experts would be recorded, and writes nothing there", async () => {
    const state = join(folder, "state");
    const { stdout, document } = await dry(server(), ["--profile", "auto"], {
      XDG_STATE_HOME: state,
    });
    expect(document.profile).toMatch(/^the use of experts will be recorded in .*\/state\/prefault/);
    expect(stdout).toContain(document.profile);
    expect(() => readFileSync(state)).toThrow("ENOENT");
  });

  it("warms files for a command that does not name its own", async () => {
    const { code, document } = await dry(["./start.sh"], [model.path]);
    expect(code).toBe(0);
    expect(document.moment.when).toBe("beside");
    expect(document.runs).not.toEqual([]);
  });

  it("says that nothing would be warmed when it is disabled", async () => {
    const { code, stdout, document } = await dry(server(), budget, { PREFAULT: "0" });
    expect(code).toBe(0);
    expect(stdout).toBe("nothing would be warmed: disabled (PREFAULT=0)\n");
    expect(document.moment).toBeNull();
  });

  it.each([
    [["./start.sh"], [], 2, /neither a command line of a known engine nor a file/],
    [["llama-server", "-m", "/nowhere.gguf"], [], 1, /\/nowhere\.gguf/],
    [["llama-server", "-m", "/nowhere.gguf"], ["--after", "soon"], 2, /http: or https:/],
    [["llama-server", "-m", "/nowhere.gguf"], ["--workers", "99"], 2, /workers/],
  ])("fails in one sentence: %j with %j", async (line, own, status, why) => {
    const { code, stdout, stderr, document } = await dry(line, own);
    expect({ code, stdout }).toEqual({ code: status, stdout: "" });
    expect(stderr).toMatch(why);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(document.error.message).toMatch(why);
  });
});
