import type { ServerCommand, ServerStatus } from "../ipc.ts";
import { type RunningServer, runServer } from "./run-server.ts";
import { nameOf, readServerSettings } from "./settings.ts";

/** The server of the settings: at most one at a time. It ends with this process, however that ends. */
export class Server {
  readonly #settings: string;
  readonly #tell: (status: ServerStatus) => void;
  /** From the wish to start it until it has ended. */
  #running: Promise<RunningServer | null> | undefined;

  /** @param settings the path of the file */
  constructor(settings: string, tell: (status: ServerStatus) => void) {
    this.#settings = settings;
    this.#tell = tell;
  }

  /** Says whether there is a server to be started. */
  async look(): Promise<void> {
    try {
      const settings = await readServerSettings(this.#settings);
      if (settings === null) this.#tell({ state: "none" });
      else this.#tell({ state: "idle", name: nameOf(settings.program) });
    } catch (error) {
      this.#fail(error);
    }
  }

  async take({ kind }: ServerCommand): Promise<void> {
    if (kind === "stop-server") {
      const server = await this.#running;
      server?.end();
    } else if (this.#running === undefined) {
      this.#running = this.#start();
      const server = await this.#running;
      await server?.ended;
      this.#running = undefined;
    }
  }

  /** @returns `null` when it could not be started */
  async #start(): Promise<RunningServer | null> {
    try {
      // Read again at each start, so that a change counts.
      const settings = await readServerSettings(this.#settings);
      if (settings !== null) return await runServer(settings, this.#tell);
      this.#tell({ state: "none" });
    } catch (error) {
      this.#fail(error);
    }
    return null;
  }

  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#tell({ state: "failed", message });
  }
}
