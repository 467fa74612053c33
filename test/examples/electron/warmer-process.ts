import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type {
  Command,
  FromMain,
  Message,
  ModelView,
  ReportView,
  ServerStatus,
  Status,
} from "../../../examples/electron/src/ipc.ts";
import { childEnvironment } from "../../helpers/environment.ts";

const HOST = join(import.meta.dirname, "utility-host.mjs");

/** The example's utility process, in plain Node, with main process and window played by a test. */
export class WarmerProcess {
  readonly messages: Message[] = [];
  stderr = "";
  readonly #child: ChildProcess;
  readonly #listeners = new Set<() => void>();

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    child.on("message", (message: Message) => {
      this.messages.push(message);
      for (const listener of this.#listeners) listener();
    });
  }

  /**
   * @param script the built `warmer.js`
   * @param settings the user's file; by default there is none
   */
  static async start(
    script: string,
    {
      env = {},
      settings = join(HOST, "none"),
    }: { env?: NodeJS.ProcessEnv; settings?: string } = {},
  ): Promise<WarmerProcess> {
    const child = fork(HOST, [pathToFileURL(script).href], {
      env: childEnvironment(env),
      execArgv: [],
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    });
    const warmer = new WarmerProcess(child);
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", (code) => reject(new Error(`exit ${code}: ${warmer.stderr}`)));
    });
    warmer.messages.length = 0;
    warmer.fromMain({ kind: "connect", settings });
    return warmer;
  }

  onMessage(listener: (message: Message) => void): void {
    this.#listeners.add(() => {
      const last = this.messages.at(-1);
      if (last !== undefined) listener(last);
    });
  }

  fromMain(message: FromMain): void {
    this.#child.send({ from: "main", message });
  }

  fromWindow(message: Command): void {
    this.#child.send({ from: "window", message });
  }

  /**
   * The first status of these kinds from now on, and every message up to it.
   *
   * @throws when the process ends before
   */
  async until(
    ...states: readonly Status["state"][]
  ): Promise<{ status: Status; messages: readonly Message[] }> {
    const from = this.messages.length;
    const status = await this.#first(from, (message) =>
      message.kind === "status" && states.includes(message.status.state)
        ? message.status
        : undefined,
    );
    return { status, messages: this.messages.slice(from) };
  }

  /** The first status of the server that is as wanted, from the start on or from a message on. */
  untilServer(is: (server: ServerStatus) => boolean, from = 0): Promise<ServerStatus> {
    return this.#first(from, (message) =>
      message.kind === "server" && is(message.server) ? message.server : undefined,
    );
  }

  /** @throws when the process ends before there is one */
  async #first<T>(from: number, look: (message: Message) => T | undefined): Promise<T> {
    for (let at = from; ; at++) {
      while (at >= this.messages.length) await this.#next();
      const message = this.messages[at];
      const found = message && look(message);
      if (found !== undefined) return found;
    }
  }

  #next(): Promise<void> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null) => reject(new Error(`exit ${code}: ${this.stderr}`));
      const listener = () => {
        this.#listeners.delete(listener);
        this.#child.off("exit", ended);
        resolve();
      };
      this.#listeners.add(listener);
      this.#child.once("exit", ended);
    });
  }

  get model(): ModelView {
    for (const message of this.messages.toReversed()) {
      if (message.kind === "model" && message.model !== null) return message.model;
    }
    throw new Error("no model yet");
  }

  get shares(): readonly (number | null)[] {
    for (const message of this.messages.toReversed()) {
      if (message.kind === "residency") return message.shares;
    }
    throw new Error("no residency yet");
  }

  /** What became of each run of the last sweep. */
  get report(): ReportView {
    for (const message of this.messages.toReversed()) {
      if (message.kind === "report") return message.report;
    }
    throw new Error("no report yet");
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** By default as Electron ends a utility process. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill(signal);
    await ended;
  }
}
