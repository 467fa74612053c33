import type { Shim } from "../../shims/index.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import { TurnWord } from "../control/turn-word.ts";
import type { FileSource } from "../file/open-file.ts";
import { describeOutOfMemory, type FailureReport } from "../fill/failure.ts";
import { type Chunk, locateChunk } from "../fill/filler.ts";
import type { MemoryWatch } from "../memory/memory-watch.ts";
import { RangeTable } from "../plan/range-table.ts";
import { DoneChunks } from "./done-chunks.ts";
import type { WorkerTask } from "./protocol.ts";

/** A chunk that was taken: nobody else fills it. */
export interface TakenChunk {
  readonly index: number;
  readonly chunk: Chunk;
  /** None when the chunk is memory that other code mapped. */
  readonly file: FileSource | undefined;
}

/** What a worker does between two chunks: takes the next one, or ends the sweep for all workers. */
export class ChunkWork {
  readonly failures: FailureReport[] = [];
  /** Chunks taken so far. */
  taken = 0;
  /** Where an engine may read the same files. */
  readonly turns: TurnWord | null;
  readonly #task: WorkerTask;
  readonly #control: SweepControl;
  readonly #watch: Pick<MemoryWatch, "look" | "filled">;
  readonly #chunks: RangeTable;
  readonly #done: DoneChunks;
  readonly #goesOn: (() => boolean) | undefined;

  /** @param goesOn asked before each chunk, by who reads only until workers have started */
  constructor(
    task: WorkerTask,
    control: SweepControl,
    watch: Pick<MemoryWatch, "look" | "filled">,
    goesOn?: () => boolean,
  ) {
    this.#task = task;
    this.#control = control;
    this.#watch = watch;
    this.#goesOn = goesOn;
    this.#chunks = new RangeTable(task.chunks);
    this.#done = new DoneChunks(task.done);
    this.turns = task.turns && new TurnWord(task.turns);
  }

  /** @returns `null` when there is none left, the sweep was cancelled, or memory is short */
  take(): TakenChunk | null {
    if (this.#goesOn?.() === false) return null;
    const isEarly = this.#goesOn !== undefined;
    const index = isEarly ? this.#control.takeChunkEarly() : this.#control.takeChunk();
    if (index >= this.#chunks.length || this.#control.cancelled) return null;
    const chunk = locateChunk(this.#task.extents, this.#chunks.at(index));
    const file = this.#task.files[chunk.file];
    const short = this.#watch.look();
    if (short === null) {
      this.taken += 1;
      return { index, chunk, file };
    }
    this.failures.push(describeOutOfMemory(short, chunk, file));
    // Also with `keepGoing`: to read more would only evict what is resident.
    this.#control.cancel();
    return null;
  }

  /** Finishes a chunk that an engine beside the sweep has read by now. @returns whether it did */
  passOver(taken: TakenChunk, shim: Shim): boolean {
    const { chunk, file } = taken;
    if (this.turns?.turn !== "beside" || file === undefined) return false;
    const { offset, byteLength } = chunk;
    if (shim.residentBytes(file, offset, byteLength) !== byteLength) return false;
    this.#control.addProgress(byteLength);
    this.finish(taken, []);
    return true;
  }

  /** To be called when a chunk was filled, as far as it could be. */
  finish({ index, chunk }: TakenChunk, failed: readonly FailureReport[]): void {
    this.failures.push(...failed);
    // Without memory for more, also with `keepGoing`.
    const isLast = failed.length > 0 && (!this.#task.keepGoing || failed.some(isOutOfMemory));
    if (isLast) this.#control.cancel();
    // A fill that was cancelled returns early.
    if (failed.length > 0 || this.#control.cancelled) return;
    this.#done.finish(index);
    this.#watch.filled(chunk);
  }
}

function isOutOfMemory({ code }: FailureReport): boolean {
  return code === "PREFAULT_OUT_OF_MEMORY";
}
