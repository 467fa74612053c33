import { read } from "node:fs";
import { promisify } from "node:util";
import type { Shim } from "../../shims/index.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import { PrefaultError } from "../errors.ts";
import { describeFailure } from "../fill/failure.ts";
import { FillFailed, locateChunk } from "../fill/filler.ts";
import type { SweepJob } from "./job.ts";

const readAsync = promisify(read);

/** A populate that fills nothing for so long may hang. A failing disk often answers after some seconds. */
const STALL_MS = 5000;

/** Bytes of one read. */
const STEP_BYTES = 1024 ** 2;

/** A populate that came back only when its mapping was taken away. */
export class PopulateHung extends PrefaultError {}

/** Looks whether the populates of a sweep hang. */
export interface HangWatch {
  /** Fulfilled when a page was found that cannot be read; pending in every other case. */
  readonly found: Promise<void>;
  /** What the device said, where it cannot read a page. */
  readonly error: PopulateHung | null;
  /** Ends it. Fulfilled when it uses the files no more; may be called repeatedly. Never rejects. */
  stop(): Promise<void>;
}

/**
 * On kernels where a populate tries a failing read for ever ({@link Shim.populateMayHang}): when nothing was
 * filled for some seconds, reads the pages that the workers are at. Such a read fails with an error, and
 * the sweep is over. A read that succeeds fills the page, so that the populate goes on.
 *
 * Not for memory that other code mapped: there is no file to read.
 */
export function watchForHang(job: SweepJob, control: SweepControl, shim: Shim): HangWatch {
  let error: PopulateHung | null = null;
  let tell = () => {};
  const found = new Promise<void>((resolve) => {
    tell = resolve;
  });
  if (job.strategy !== "populate" || job.files.length === 0 || !shim.populateMayHang) {
    return { found, error, stop: async () => {} };
  }
  let filled = -1;
  let isStopped = false;
  let looking = Promise.resolve();
  let isLooking = false;

  async function look(): Promise<void> {
    error = await unreadable(job, control, shim, () => isStopped);
    if (error !== null && !isStopped) tell();
  }

  const timer = setInterval(() => {
    const isStalled = control.progress === filled && control.workers > 0;
    filled = control.progress;
    // Workers that wait for their turn have not taken anything to read.
    if (!isStalled || job.turns?.turn === "wait" || isLooking || error !== null) return;
    isLooking = true;
    looking = look().finally(() => {
      isLooking = false;
    });
  }, STALL_MS);
  return {
    found,
    get error() {
      return error;
    },
    stop() {
      isStopped = true;
      clearInterval(timer);
      return looking;
    },
  };
}

/** Reads what workers have taken and not finished, from the first page that is not resident. */
async function unreadable(
  { chunks, done, extents, files }: SweepJob,
  control: SweepControl,
  shim: Shim,
  isOver: () => boolean,
): Promise<PopulateHung | null> {
  const buffer = new Uint8Array(STEP_BYTES);
  const taken = Math.min(control.taken, chunks.length);
  for (let index = 0; index < taken; index++) {
    if (done.has(index)) continue;
    const chunk = locateChunk(extents, chunks.at(index));
    const file = files[chunk.file];
    if (file === undefined) continue;
    const end = Math.min(chunk.offset + chunk.byteLength, file.byteLength);
    for (let at = chunk.offset; at < end && !isOver(); ) {
      const byteLength = Math.min(STEP_BYTES, end - at);
      const resident = shim.residentBytes(file, at, byteLength);
      if (resident !== null && resident >= byteLength) {
        at += byteLength;
        continue;
      }
      try {
        const { bytesRead } = await readAsync(file.fd, buffer, 0, byteLength, at);
        // The file shrank, which the populate is told with an error.
        if (bytesRead === 0) break;
        at += bytesRead;
      } catch (cause) {
        const failed = new FillFailed(at, byteLength, cause);
        const failure = describeFailure(failed, chunk, file, file.byteLength);
        return new PopulateHung(failure.code, failure.message, { ...failure, cause });
      }
    }
  }
  return null;
}

/**
 * Makes populates that hang come back: they find memory without a file, and fill that. Not where the mapping
 * stays in use after the sweep, since somebody may read it: there the threads go on until it is closed.
 *
 * @returns whether it was done
 */
export function takeMappingAway({ mapping }: SweepJob): boolean {
  if (mapping === null || mapping.keepPageTables) return false;
  for (const arena of mapping.arenas) arena.restore();
  return true;
}
