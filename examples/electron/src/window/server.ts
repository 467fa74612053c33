import type { ReportView, ServerCommand, ServerStatus } from "../ipc.ts";
import { element } from "./element.ts";
import { RunList } from "./runs.ts";

const NONE: ReportView = { runs: [], notes: [] };

/** The server of the settings: its state, and the wish to start or to end it. */
export class ServerCard {
  readonly #card = element("server", HTMLElement);
  readonly #title = element("server-title", HTMLElement);
  readonly #note = element("server-note", HTMLElement);
  readonly #button = element("server-button", HTMLButtonElement);
  readonly #runs = new RunList(
    element("server-runs", HTMLUListElement),
    element("server-notes", HTMLUListElement),
  );
  #state: ServerStatus["state"] = "none";

  constructor(send: (command: ServerCommand) => void) {
    this.#button.addEventListener("click", () => {
      send({ kind: this.#state === "running" ? "stop-server" : "start-server" });
    });
  }

  show(server: ServerStatus): void {
    this.#state = server.state;
    this.#card.hidden = server.state === "none";
    this.#card.dataset["state"] = server.state;
    this.#title.textContent = describeServer(server);
    this.#note.textContent = noteOf(server);
    this.#button.textContent = server.state === "running" ? "End" : "Start";
    this.#button.disabled = server.state === "ending";
    // What was warmed stays shown until another start.
    if (server.state === "running") this.#runs.show(server.report ?? NONE);
    else if (server.state !== "ended") this.#runs.show(NONE);
  }
}

function noteOf(server: ServerStatus): string {
  if (server.state === "failed") return server.message;
  return server.state === "running" ? server.note : "";
}

/** In words: starting, ready, warmed, ended. */
export function describeServer(server: ServerStatus): string {
  switch (server.state) {
    case "none":
      return "";
    case "idle":
      return `${server.name}: not started`;
    case "running": {
      const { isReady, report } = server;
      const state = isReady === null ? "running" : isReady ? "ready" : "starting…";
      const isWarmed = report?.runs.some(({ skipped }) => skipped === null) ?? false;
      return `${server.name}: ${state}${isWarmed ? ", warmed" : ""}`;
    }
    case "ending":
      return `${server.name}: ending…`;
    case "ended":
      return `${server.name}: ended ${typeof server.by === "number" ? "with status" : "by"} ${server.by}`;
    case "failed":
      return "The server was not started";
  }
}
