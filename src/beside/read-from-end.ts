import { setTimeout as sleep } from "node:timers/promises";
import { loadShim, type Shim } from "../../shims/index.ts";
import { FileSet } from "../file/file-set.ts";
import { type DescribedOpenFile, describeOpenFile } from "../file/open-file.ts";
import { processTree } from "../hold/process-tree.ts";
import type { Range } from "../plan/range.ts";
import { readBytesOf } from "./activity.ts";
import { Pace, STEP_MS } from "./pace.ts";

/** Bytes of one hint: few calls, as far as the device honours so many. */
const HINT_BYTES = 512 * 1024;
const LEAST_HINT_BYTES = 128 * 1024;

/** Hints of which not all is resident yet: enough to keep a fast device busy. */
const MOST_UNDER_WAY = 48;

/** Between two looks at whether what was hinted is resident. */
const POLL_MS = 2;

/** What is not resident after this time was not honoured, and is asked for again, so many times. */
const PATIENCE_MS = 100;
const MOST_TIMES = 20;

/** What is read beside an engine. */
export interface ReadTask {
  /** In the order in which the engine reads them. */
  readonly paths: readonly string[];
  /** The engine's process, or the one that started it. */
  readonly pid: number;
  readonly signal: AbortSignal;
  readonly onProgress?: ((bytesDone: number, bytesTotal: number) => void) | undefined;
}

/**
 * Reads files from their end while an engine reads them from their start, by hints that bring pages into the
 * page cache and map nothing. Stands back while the engine keeps the device busy by itself, passes over
 * what is resident already, and ends when the signal fires.
 *
 * @returns false where this cannot be done: nothing was read
 * @throws {@link PrefaultError} as {@link FileSet.open}
 */
export async function readFromEnd({ paths, pid, signal, onProgress }: ReadTask): Promise<boolean> {
  const shim = await loadShim();
  if (!shim.canReadAhead) return false;
  const files = new FileSet();
  const turns = await Turns.start(pid);
  if (turns === null) return false;
  try {
    const opened: DescribedOpenFile[] = [];
    for (const path of paths) opened.push(await describeOpenFile(await files.open(path), shim));
    if (!opened.every(({ facts }) => facts.isLocal && facts.mayKnow)) return false;
    const bytesTotal = opened.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const hints = new Hints(shim);
    let bytesDone = 0;
    for (const file of opened.reverse()) {
      for (let end = file.byteLength; end > 0 && !signal.aborted; ) {
        if (turns.mustWait || hints.isFull) {
          await sleep(POLL_MS);
          await hints.look();
          continue;
        }
        const bytes = await hints.give(file, end);
        end -= bytes;
        bytesDone += bytes;
        onProgress?.(bytesDone, bytesTotal);
      }
    }
    for (; hints.areUnderWay && !signal.aborted; await hints.look()) await sleep(POLL_MS);
    return true;
  } finally {
    turns.stop();
    await files.close();
  }
}

interface Hint extends Range {
  readonly file: DescribedOpenFile;
  /** When it was given last, and how often. */
  readonly atMs: number;
  readonly times: number;
}

/** Hints that were given, until what they asked for is resident. */
class Hints {
  readonly #shim: Shim;
  #underWay: Hint[] = [];
  /** As many as the device honours, as far as that is known. */
  #hintBytes = HINT_BYTES;

  constructor(shim: Shim) {
    this.#shim = shim;
  }

  get isFull(): boolean {
    return this.#underWay.length >= MOST_UNDER_WAY;
  }

  get areUnderWay(): boolean {
    return this.#underWay.length > 0;
  }

  /** Asks for what lies before an offset. @returns bytes that were asked for, or are resident already */
  async give(file: DescribedOpenFile, end: number): Promise<number> {
    const offset = Math.floor((end - 1) / this.#hintBytes) * this.#hintBytes;
    const hint = { file, offset, byteLength: end - offset, atMs: performance.now(), times: 1 };
    if (this.#missing(hint) > 0) {
      await this.#shim.readAhead(file.fd, offset, hint.byteLength);
      this.#underWay.push(hint);
    }
    return hint.byteLength;
  }

  /** Forgets what is resident by now, and asks again for what the device did not honour. */
  async look(): Promise<void> {
    const now = performance.now();
    const left: Hint[] = [];
    for (const hint of this.#underWay) {
      const missing = this.#missing(hint);
      if (missing === 0 || hint.times > MOST_TIMES) continue;
      if (now - hint.atMs < PATIENCE_MS) {
        left.push(hint);
        continue;
      }
      // The kernel reads the first part of a hint that is longer than the device allows.
      const { file, offset, byteLength } = hint;
      const honoured = byteLength - missing;
      if (honoured >= LEAST_HINT_BYTES && byteLength === this.#hintBytes) {
        this.#hintBytes = 2 ** Math.floor(Math.log2(honoured));
      }
      const rest = {
        file,
        offset: offset + honoured,
        byteLength: missing,
        atMs: now,
        times: hint.times + 1,
      };
      await this.#shim.readAhead(file.fd, rest.offset, missing);
      left.push(rest);
    }
    this.#underWay = left;
  }

  /** Bytes of a hint that are not resident. */
  #missing({ file, offset, byteLength }: Hint): number {
    const resident = this.#shim.residentBytes(file, offset, byteLength) ?? byteLength;
    return Math.max(0, byteLength - resident);
  }
}

/** Lets the engine and this process read in turns, as {@link Pace} says. */
class Turns {
  mustWait = false;
  readonly #pace = new Pace();
  readonly #pid: number;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /** @returns `null` where the system does not tell what a process reads */
  static async start(pid: number): Promise<Turns | null> {
    const turns = new Turns(pid);
    return (await turns.#look()) ? turns : null;
  }

  private constructor(pid: number) {
    this.#pid = pid;
  }

  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<boolean> {
    const tree = new Set([...(await processTree(this.#pid)), process.pid]);
    const bytes = await readBytesOf([...tree]);
    if (bytes === null || this.#isOver) return false;
    const step = this.#pace.look(bytes, performance.now());
    this.mustWait = step !== "read";
    this.#timer = setTimeout(() => void this.#look(), STEP_MS[step]);
    this.#timer.unref();
    return true;
  }
}
