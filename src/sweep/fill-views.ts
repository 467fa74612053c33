import { fstatSync } from "node:fs";
import type { FileStretch, Shim } from "../../shims/index.ts";
import { ARENA_BYTES, locate } from "../arena/layout.ts";
import type { ControlPage } from "../control.ts";
import { FileShrank, type Filler, FillFailed, type Stretch } from "./filler.ts";
import type { MemoryWatch } from "./memory-watch.ts";
import type { LaneTask } from "./protocol.ts";
import { WindowSize } from "./window-size.ts";

/**
 * Fills views that lie outside WebAssembly memory. No kernel reaches them: the system makes each
 * window resident on request, and says so when it cannot.
 */
export class ViewFiller implements Filler {
  /** The system's own touch is the touch. */
  readonly untouchedBytes = 0;
  readonly #task: LaneTask;
  readonly #control: ControlPage;
  readonly #shim: Shim;
  readonly #watch: MemoryWatch;
  readonly #windowSize = new WindowSize();

  constructor(task: LaneTask, control: ControlPage, shim: Shim, watch: MemoryWatch) {
    this.#task = task;
    this.#control = control;
    this.#shim = shim;
    this.#watch = watch;
  }

  fill(stretch: Stretch): void {
    const { fd, offset, address } = inView(this.#task, stretch);
    const { byteLength } = stretch;
    // A stretch is whole pages; the file need not be. Beyond the view something else may be mapped.
    const end = Math.min(offset + byteLength, this.#task.files[stretch.file]?.byteLength ?? 0);
    if (fstatSync(fd).size < end) throw new FileShrank();
    for (let done = 0; done < byteLength && !this.#control.cancelled; ) {
      const window = this.#watch.allow(Math.min(this.#windowSize.bytes, byteLength - done));
      const started = performance.now();
      try {
        this.#shim.populate(address + BigInt(done), window);
      } catch (cause) {
        throw new FillFailed(offset + done, window, cause);
      }
      this.#windowSize.took(performance.now() - started);
      this.#control.addProgress(window);
      done += window;
    }
  }

  close(): void {}
}

/**
 * Asks for everything at once, so that the system orders the requests and makes them large. It may
 * block for as long as the device takes, which is why a lane does it and not the caller's thread:
 * the others fill meanwhile, and an abort does not wait for it.
 */
export function hintViews(task: LaneTask, stretches: readonly Stretch[], shim: Shim): void {
  shim.prefetch(stretches.map((stretch) => inView(task, stretch)));
}

function inView({ windows, views, files }: LaneTask, stretch: Stretch): FileStretch {
  const { window } = locate(windows, stretch.arena * ARENA_BYTES + stretch.start);
  const start = views[windows.indexOf(window)];
  const file = files[stretch.file];
  if (start === undefined || file === undefined) throw new RangeError(`no file ${stretch.file}`);
  const { offset, byteLength } = stretch;
  return { fd: file.fd, offset, byteLength, address: start + BigInt(offset - window.offset) };
}
