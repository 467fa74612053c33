import type { Gate } from "../../gate.ts";
import type { Tensor } from "../../model/model.ts";
import {
  blockTensor,
  COPIES,
  PER_LAYER_TABLE,
  parseTensorName,
  partOf,
  type TensorName,
} from "../gguf/tensor-names.ts";
import { isLazyTable, LAZY_REASON } from "../lazy-table.ts";
import type {
  Elsewhere,
  IndexedModel,
  PassName,
  PassPlan,
  PassRun,
  PlannedTensor,
  UnplannedTensor,
} from "../pass.ts";
import { coreAndExperts } from "../runs.ts";
import type { ReferencePlacement } from "./placement.ts";

/** Why a part is on the CPU: the second half of every reason. */
export const WHERE = {
  cpuLayers: "of CPU layers",
  cpuMoe: "of GPU layers, computed on the CPU",
  cacheMiss: "of GPU layers, read when the expert cache misses",
  kept: "kept on the CPU",
  mtp: "of the MTP head",
} as const;

/** Collects the tensors of a pass in the order of the pass. */
export class Listing {
  /** Sentences for the plan. */
  readonly notes: string[] = [];
  readonly #pass: PassName;
  readonly #model: IndexedModel;
  readonly #placement: ReferencePlacement;
  readonly #entries: PlannedTensor[] = [];
  readonly #listed = new Set<Tensor>();

  constructor(pass: PassName, model: IndexedModel, placement: ReferencePlacement) {
    this.#pass = pass;
    this.#model = model;
    this.#placement = placement;
  }

  /** Whether to reproduce the reference's list, defects included. */
  get isReference(): boolean {
    return this.#placement.reference === true;
  }

  /** Adds a tensor that must exist. */
  strict(name: string, where: string): void {
    this.#add(this.#model.index.get(name), where);
  }

  /** Adds a tensor if it exists: a prefault must not fail for a model that the engine loads. */
  tolerant(name: string, where: string): void {
    const tensor = this.#model.index.find(name);
    if (tensor !== undefined) this.#add(tensor, where);
  }

  /** All layers of one role, then the next role. */
  roleMajor(layers: readonly number[], roles: readonly string[], where: string): void {
    for (const role of roles) {
      for (const layer of layers) this.strict(blockTensor(layer, role), where);
    }
  }

  /** All roles of one layer, then the next layer. */
  layerMajor(layers: readonly number[], roles: readonly string[], where: string): void {
    for (const layer of layers) {
      for (const role of roles) this.strict(blockTensor(layer, role), where);
    }
  }

  /** As {@link layerMajor}, for tensors that may be absent. */
  tolerantLayerMajor(layers: readonly number[], roles: readonly string[], where: string): void {
    for (const layer of layers) {
      for (const role of roles) this.tolerant(blockTensor(layer, role), where);
    }
  }

  /** Adds the table of per-layer embeddings, unless it is lazy. */
  table(): void {
    const tensor = this.#model.index.get(PER_LAYER_TABLE);
    if (!this.#isLazy(tensor)) this.#add(tensor, WHERE.kept);
  }

  /**
   * Closes the list.
   *
   * Defects D2 and D3: the reference takes or skips its whole list by one gate. A token reads few
   * of the routed experts, so they get a run of their own behind the memory that is free by then,
   * and what every token reads is warmed even when they do not fit.
   */
  plan(label: string, gate: Gate, onGpu: (name: TensorName) => boolean): PassPlan {
    const runs: PassRun[] = this.isReference
      ? [{ name: "core", label, gate, regions: this.#entries }]
      : coreAndExperts(label, gate, this.#entries);
    return {
      pass: this.#pass,
      runs: runs.filter(({ regions }) => regions.length > 0),
      elsewhere: this.#elsewhere(onGpu),
      notes: this.notes,
    };
  }

  // Defects D6 and D8: the reference lists a tied embedding twice and counts its bytes twice.
  #add(tensor: Tensor, where: string): void {
    if (this.#listed.has(tensor) && !this.isReference) return;
    this.#listed.add(tensor);
    const part = partOf(parseTensorName(tensor.name).role);
    this.#entries.push({ tensor, reason: `${part} ${where}` });
  }

  #isLazy(tensor: Tensor): boolean {
    return !this.isReference && isLazyTable(tensor, this.#placement);
  }

  #elsewhere(onGpu: (name: TensorName) => boolean): UnplannedTensor[] {
    const place = (tensor: Tensor): { place: Elsewhere; reason: string } => {
      const name = parseTensorName(tensor.name);
      const part = partOf(name.role);
      if (onGpu(name)) return { place: "gpu", reason: `${part} on the GPU` };
      if (COPIES.has(name.role))
        return { place: "copied", reason: "small weights, copied at load" };
      if (this.#isLazy(tensor)) return { place: "lazy", reason: LAZY_REASON };
      if ((name.block ?? 0) >= this.#model.hyper.layers && name.block !== undefined) {
        return { place: "unused", reason: "MTP blocks, not used" };
      }
      return { place: "unused", reason: "not read by this pass" };
    };
    return this.#model.index.tensors
      .filter((tensor) => !this.#listed.has(tensor))
      .map((tensor) => ({ tensor, ...place(tensor) }));
  }
}

/** `[from, to)` as a list of layers. */
export function layersBetween(from: number, to: number): number[] {
  return Array.from({ length: Math.max(to - from, 0) }, (_, step) => from + step);
}
