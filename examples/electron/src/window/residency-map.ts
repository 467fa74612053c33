import type { TensorView } from "../ipc.ts";
import { formatBytes, percent } from "./text.ts";

/** `blk.12`, `model.layers.12`: the name up to its first number. */
const BLOCK = /^(.*?\.\d+)\./;

/** A block may have experts by the hundred, one by one; more cells than this no one can see. */
const MOST_CELLS = 64;

interface Cell {
  readonly element: HTMLElement;
  readonly tensors: readonly number[];
}

interface Row {
  readonly share: HTMLElement;
  readonly bar: HTMLElement;
  readonly block: string;
  readonly cells: readonly Cell[];
  readonly onCpu: readonly number[];
}

/** A line for each block; in it a cell for each tensor, as wide as its share of the block's bytes. */
export class ResidencyMap {
  readonly #list: HTMLUListElement;
  #tensors: readonly TensorView[] = [];
  #rows: readonly Row[] = [];

  constructor(list: HTMLUListElement) {
    this.#list = list;
  }

  show(tensors: readonly TensorView[]): void {
    this.#tensors = tensors;
    const blocks = new Map<string, number[]>();
    for (const [index, { name }] of tensors.entries()) {
      const block = BLOCK.exec(name)?.[1] ?? name.replace(/\.weight$/, "");
      blocks.set(block, [...(blocks.get(block) ?? []), index]);
    }
    this.#rows = [...blocks].map(([block, members]) => this.#row(block, members));
    this.#list.replaceChildren(
      ...this.#rows.map(({ block, bar, share }) => {
        const label = make("span", "block");
        label.textContent = block;
        label.title = block;
        const item = document.createElement("li");
        item.append(label, bar, share);
        return item;
      }),
    );
  }

  /** Draws the shares, and sums up what stays on the CPU. */
  fill(shares: readonly (number | null)[]): { residentBytes: number | null; bytes: number } {
    const resident = (indices: readonly number[]) =>
      indices.reduce<number | null>((sum, index) => {
        const share = shares[index] ?? null;
        return sum === null || share === null ? null : sum + share * this.#bytes([index]);
      }, 0);
    for (const { cells, onCpu, share, bar, block } of this.#rows) {
      for (const { element, tensors } of cells) {
        const part = resident(tensors);
        element.toggleAttribute("data-unknown", part === null);
        element.style.setProperty("--share", String((part ?? 0) / (this.#bytes(tensors) || 1)));
      }
      const part = resident(onCpu);
      const whole = this.#bytes(onCpu);
      share.textContent = onCpu.length === 0 ? "–" : part === null ? "?" : percent(part, whole);
      bar.setAttribute("aria-label", `${block}: ${share.textContent} of ${formatBytes(whole)}`);
    }
    const all = this.#rows.flatMap(({ onCpu }) => onCpu);
    return { residentBytes: resident(all), bytes: this.#bytes(all) };
  }

  #row(block: string, members: readonly number[]): Row {
    const perCell = Math.ceil(members.length / MOST_CELLS);
    const cells: Cell[] = [];
    for (let at = 0; at < members.length; at += perCell) {
      cells.push(this.#cell(members.slice(at, at + perCell)));
    }
    const bar = make("span", "tensors");
    bar.setAttribute("role", "img");
    bar.append(...cells.map(({ element }) => element));
    const onCpu = members.filter((index) => this.#tensors[index]?.place === "cpu");
    return { block, bar, share: make("span", "share"), cells, onCpu };
  }

  #cell(tensors: readonly number[]): Cell {
    const element = make("span", "tensor");
    const [first] = tensors.map((index) => this.#tensors[index]);
    const more = tensors.length > 1 ? ` and ${tensors.length - 1} more` : "";
    element.dataset["place"] = first?.place ?? "cpu";
    element.title = `${first?.name}${more}, ${formatBytes(this.#bytes(tensors))}`;
    element.style.flexGrow = String(Math.max(this.#bytes(tensors), 1));
    return { element, tensors };
  }

  #bytes(indices: readonly number[]): number {
    return indices.reduce((sum, index) => sum + (this.#tensors[index]?.bytes ?? 0), 0);
  }
}

function make(tag: "span", className: string): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}
