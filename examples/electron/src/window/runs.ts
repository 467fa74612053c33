import type { ReportView, RunView } from "../ipc.ts";
import { formatBytes, sentence } from "./text.ts";

const NAMES = {
  core: ["Core", "what every token reads"],
  experts: ["Experts", "of which a token reads a few"],
} as const;

/** Shows what every token reads apart from the routed experts: each was warmed, or skipped, by itself. */
export class RunList {
  readonly #runs: HTMLUListElement;
  readonly #notes: HTMLUListElement;

  constructor(runs: HTMLUListElement, notes: HTMLUListElement) {
    this.#runs = runs;
    this.#notes = notes;
  }

  show({ runs, notes }: ReportView): void {
    this.#runs.replaceChildren(...runs.map(runItem));
    this.#notes.replaceChildren(...notes.map((note) => make("li", sentence(note))));
  }
}

function runItem(run: RunView): HTMLElement {
  const [name, meaning] = NAMES[run.name];
  const item = document.createElement("li");
  item.dataset["run"] = run.name;
  const title = make("span", ` ${meaning}`);
  title.prepend(make("strong", name));
  item.append(title, make("span", figures(run)));
  if (run.skipped !== null) {
    item.append(make("p", sentence(`skipped: ${run.skipped.replace(/^skipped: /, "")}`)));
  }
  return item;
}

function figures({ plannedBytes, leftOutBytes, residentBytes }: RunView): string {
  const resident = residentBytes === null ? "" : `${formatBytes(residentBytes)} resident`;
  const left = leftOutBytes === 0 ? "" : `${formatBytes(leftOutBytes)} left out`;
  return [`${formatBytes(plannedBytes)} planned`, left, resident].filter(Boolean).join(" · ");
}

function make(tag: "li" | "p" | "span" | "strong", text: string): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
