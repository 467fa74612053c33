import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { bundle } from "../bundle.ts";

export interface ServerStart {
  readonly model: string;
  /** The folder whose `node_modules` holds node-llama-cpp. */
  readonly engine: string;
  /** `cgroup.procs` files: the server joins these groups before it starts. */
  readonly cgroups?: readonly string[];
  /** Further options of the server. */
  readonly args?: readonly string[];
  /** Starts the server, which follows as its last arguments: `["prefault", "run", "--"]`. */
  readonly launcher?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** @defaultValue ten minutes */
  readonly timeoutMs?: number;
}

export interface CompletionRequest {
  readonly prompt: string;
  readonly tokens: number;
  readonly seed?: number;
}

/** Seconds. */
export interface Completion {
  readonly toFirstToken: number;
  /** To the last of tokens 1 to 5, and 1 to 24; NaN where there were fewer. */
  readonly toFifth: number;
  readonly to24th: number;
  readonly toLast: number;
  /** Tokens a second, of each 25. The first of them counts from the request. */
  readonly rates: readonly number[];
  /** From the server's start to the first token. */
  readonly startToFirstToken: number;
}

/** A server process, with requests for its health and for completions. */
export class Server {
  readonly port: number;
  /** Of the launcher where there is one. */
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #started: number;
  readonly #timeoutMs: number;
  #stderr = "";

  /** Fulfilled as soon as there is a process; it is not healthy yet. */
  static async start(options: ServerStart): Promise<Server> {
    const port = await freePort();
    const { model, engine, cgroups = [], args = [], launcher = [] } = options;
    const script = await bundle("bench/engine/server.ts");
    const server = [process.execPath, script, "-m", model, "--port", String(port), ...args];
    // The shell joins the groups and then becomes the program: nothing runs outside of them.
    const joined = cgroups.map((_, index) => `echo $$ > "\${${index + 1}}"`).join(" && ");
    const line =
      cgroups.length === 0
        ? [...launcher, ...server]
        : [
            "sh",
            "-c",
            `${joined} && shift ${cgroups.length} && exec "$@"`,
            "sh",
            ...cgroups,
          ].concat(launcher, server);
    const [command = "", ...rest] = line;
    const started = epoch();
    const child = spawn(command, rest, {
      env: { ...process.env, BENCH_ENGINE: resolve(engine), ...options.env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    await once(child, "spawn");
    return new Server(child, port, started, options.timeoutMs ?? 600_000);
  }

  private constructor(child: ChildProcess, port: number, started: number, timeoutMs: number) {
    this.#child = child;
    this.pid = child.pid ?? -1;
    this.port = port;
    this.#started = started;
    this.#timeoutMs = timeoutMs;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-20_000);
    });
  }

  /** What it, or what launched it, said; at most the last 20,000 characters. */
  get stderr(): string {
    return this.#stderr;
  }

  /** @returns seconds from the start until it was healthy @throws Error when it ends before */
  async healthy(): Promise<number> {
    while (this.#child.exitCode === null && this.#child.signalCode === null) {
      if (epoch() - this.#started > this.#timeoutMs) throw new Error("the server is never healthy");
      const answer = await fetch(`${this.#url}/health`).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.status === 200) return (epoch() - this.#started) / 1000;
      await sleep(20);
    }
    throw new Error(`the server ended with ${this.#child.exitCode}: ${this.#stderr}`);
  }

  async complete({ prompt, tokens, seed = 1 }: CompletionRequest): Promise<Completion> {
    const asked = epoch();
    const response = await fetch(`${this.#url}/completion`, {
      method: "POST",
      body: JSON.stringify({ prompt, n_predict: tokens, seed, stream: true }),
      signal: AbortSignal.timeout(this.#timeoutMs),
    });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    // The server's own times: this process may get the event late, where processors are few.
    const times = (await response.text())
      .split("\n\n")
      .filter((event) => event.startsWith("data: "))
      .map((event) => (JSON.parse(event.slice(6)) as { t: number }).t);
    if (times.length !== tokens) throw new Error(`${times.length} tokens came, not ${tokens}`);
    return describe(times, asked, this.#started);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await closed;
    clearTimeout(timer);
  }

  get #url(): string {
    return `http://127.0.0.1:${this.port}`;
  }
}

/** A rate is given for each run of so many tokens. */
const RATE_TOKENS = 25;

/** @param times when each token was there; all in milliseconds of one clock */
export function describe(times: readonly number[], asked: number, started: number): Completion {
  const after = (token: number) => ((times[token - 1] ?? Number.NaN) - asked) / 1000;
  const rates = Array.from({ length: Math.floor(times.length / RATE_TOKENS) }, (_, index) => {
    const before = index === 0 ? 0 : after(index * RATE_TOKENS);
    return RATE_TOKENS / (after((index + 1) * RATE_TOKENS) - before);
  });
  return {
    toFirstToken: after(1),
    toFifth: after(5),
    to24th: after(24),
    toLast: after(times.length),
    rates,
    startToFirstToken: ((times[0] ?? Number.NaN) - started) / 1000,
  };
}

function epoch(): number {
  return performance.timeOrigin + performance.now();
}

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  listener.close();
  await once(listener, "close");
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return address.port;
}
