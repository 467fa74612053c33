import { abortable } from "../abortable.ts";
import { ARENA_BYTES, type Layout, PMD_BYTES, spansOf } from "../arena/layout.ts";
import { CONTROL_BYTES, sharedBuffer } from "../control/arena-control.ts";
import { describeValue } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import type { Model, Tensor } from "../model/model.ts";
import { type PrefaultOptions, signalOf } from "../options.ts";
import type { Plan } from "../plan/plan.ts";
import { type Execution, executeRun, labelOf } from "../run/execute.ts";
import { reporting } from "../run/prefault.ts";
import { emptyReport, type PrefaultReport } from "../run/report.ts";
import { tensorRegion } from "../target/target.ts";
import type { Memories } from "./memories.ts";

/** Where a tensor, or a part of one, lies in a WebAssembly memory. */
export interface ArenaSpan {
  /** Shared: it can be sent to any worker, and a module that imports it computes in place. */
  readonly memory: WebAssembly.Memory;
  /** Linear address of the first byte. */
  readonly address: number;
  readonly byteLength: number;
  /**
   * The part of the memory that is the caller's: ordinary zeros where vectors and results can lie.
   * Below it a sweep keeps what its threads share, above it lie tensors.
   */
  readonly scratch: { readonly address: number; readonly byteLength: number };
}

/** Extents begin at the first folio, whatever the arena's align offset. */
const SCRATCH = { address: CONTROL_BYTES, byteLength: PMD_BYTES - CONTROL_BYTES };

/** A tensor in memory. */
export interface MappedTensor {
  /** The format's own name of the element type, such as `Q4_K` or `BF16`. */
  readonly dtype: string;
  /** Elements per dimension, in the order the format stores them. */
  readonly shape: readonly number[];
  readonly byteLength: number;
  /**
   * The tensor's bytes, not copied: one view, or consecutive ones for a tensor larger than an arena
   * (just under 4 GiB). They read zeros once the model is closed. A store changes a private copy of
   * the page, never the file.
   */
  readonly views: readonly Uint8Array[];
}

/**
 * A model's CPU-resident tensors, laid into shared WebAssembly memory and kept there. Views of it
 * are V8's own buffers, so they work in Electron too.
 */
export class MappedModel implements AsyncDisposable {
  readonly model: Model;
  /** Names of the tensors that are mapped, in file order. */
  readonly tensorNames: readonly string[];
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #plan: Plan;
  readonly #layout: Layout;
  readonly #memories: Memories;
  #filling: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  /** @internal */
  constructor(
    model: Model,
    tensors: readonly Tensor[],
    plan: Plan,
    layout: Layout,
    memories: Memories,
  ) {
    this.model = model;
    this.tensorNames = tensors.map((tensor) => tensor.name);
    this.#tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    this.#plan = plan;
    this.#layout = layout;
    this.#memories = memories;
  }

  /** @throws {@link PrefaultError} `PREFAULT_UNKNOWN_TENSOR`, `PREFAULT_CLOSED` */
  tensor(name: string): MappedTensor {
    const { dtype, shape, byteLength } = this.#find(name);
    const views = this.arenas(name).map(
      ({ memory, address, byteLength: length }) =>
        new Uint8Array(sharedBuffer(memory), address, length),
    );
    return { dtype, shape, byteLength, views };
  }

  /**
   * Where a tensor lies, for a WebAssembly module of the caller's own that imports the memory.
   *
   * @throws {@link PrefaultError} `PREFAULT_UNKNOWN_TENSOR`, `PREFAULT_CLOSED`, and
   *   `PREFAULT_UNSUPPORTED` for a tensor larger than an arena: see {@link MappedModel.arenas}
   */
  arena(name: string): ArenaSpan {
    const spans = this.arenas(name);
    const [span] = spans;
    if (span !== undefined && spans.length === 1) return span;
    throw new PrefaultError(
      "PREFAULT_UNSUPPORTED",
      `tensor ${name} of ${this.model.files[0]?.path} does not lie in one memory; arenas() gives its ${spans.length} parts`,
    );
  }

  /** As {@link MappedModel.arena}, with every part of a tensor that is larger than an arena. */
  arenas(name: string): ArenaSpan[] {
    const tensor = this.#find(name);
    const { index, range } = this.#plan.locate(tensorRegion(this.model, tensor));
    return spansOf(this.#layout.extents, index, range).map(({ offset, byteLength }) => {
      const memory = this.#memories.memories[Math.floor(offset / ARENA_BYTES)];
      if (memory === undefined) throw new RangeError(`no memory at ${offset}`);
      const address = (offset % ARENA_BYTES) + memory.alignOffset;
      return { memory: memory.memory, address, byteLength, scratch: SCRATCH };
    });
  }

  /**
   * Makes these very mappings resident, page tables and all, so that the first use of a view faults
   * nothing. Takes the options of `prefault`, and never rejects either. One at a time: a second call waits.
   *
   * @throws {@link PrefaultError} `PREFAULT_CLOSED`
   */
  async prefault(options: PrefaultOptions = {}): Promise<PrefaultReport> {
    this.#expectOpen();
    // Waits for the one before; one that is aborted meanwhile reports that at once, and fills nothing.
    const before = this.#filling;
    let released: Promise<void> = Promise.resolve();
    const report = untilAborted(options, before).then(() =>
      this.#prefault(options, (execution) => {
        released = execution.released;
      }),
    );
    // The next prefault, and close(), also have to wait for a worker that does not answer.
    const over = () => Promise.all([before, released]);
    this.#filling = report.then(over, over);
    return report;
  }

  /** Unmaps. Views read zeros from then on. Idempotent; waits for a prefault that is under way. */
  close(): Promise<void> {
    this.#closed ??= this.#filling.then(async () => {
      await this.#memories.close();
      await this.#plan.close();
    });
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #prefault(
    options: PrefaultOptions,
    onEnd: (execution: Execution) => void,
  ): Promise<PrefaultReport> {
    const { mapping } = this.#memories;
    return reporting(options, async (resolved) => {
      if (mapping === null) {
        return [emptyReport(labelOf(resolved), "copied into memory when it was opened")];
      }
      const run = { kind: "mapped", plan: this.#plan, layout: this.#layout, mapping } as const;
      const execution = await executeRun(run, resolved);
      onEnd(execution);
      return [execution.report];
    });
  }

  #expectOpen(): void {
    if (this.#closed === undefined) return;
    throw new PrefaultError(
      "PREFAULT_CLOSED",
      `the mapped model ${this.model.files[0]?.path} was closed`,
    );
  }

  #find(name: string): Tensor {
    this.#expectOpen();
    const tensor = this.#tensors.get(name);
    if (tensor !== undefined) return tensor;
    throw new PrefaultError(
      "PREFAULT_UNKNOWN_TENSOR",
      `no tensor ${describeValue(name)} of ${this.model.files[0]?.path} is mapped`,
    );
  }
}

/** Fulfilled when the work is over, or the options' signal has fired. Never rejects. */
async function untilAborted(options: PrefaultOptions, work: Promise<unknown>): Promise<void> {
  const settled = Promise.allSettled([work]);
  try {
    await abortable(signalOf(options), settled);
  } catch {
    // Aborted, or no options at all: the prefault itself says so.
  }
}
