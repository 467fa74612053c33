import { basename } from "node:path";
import {
  type Model,
  openModel,
  PrefaultError,
  type Profile,
  planPass,
  prefault,
  readProfile,
  residency,
  type Target,
} from "prefault";
import type { Message, Place, Placement, Status, WarmerCommand } from "../ipc.ts";
import { budgetOf } from "./budget.ts";
import { outcome, reportView } from "./report.ts";

/** How often the map is drawn again while a sweep runs. Asking costs a few milliseconds a GiB. */
const LOOK_MS = 500;

/** One model, its placement, and at most one sweep at a time. */
export class Warmer {
  readonly #send: (message: Message) => void;
  #model: Model | undefined;
  #placement: Placement = { gpuLayers: 0, cpuMoe: false };
  #profile: Profile | undefined;
  #abort: AbortController | undefined;

  constructor(send: (message: Message) => void) {
    this.#send = send;
  }

  async open(path: string): Promise<void> {
    this.#abort?.abort();
    this.#model = undefined;
    this.#send({ kind: "model", model: null });
    // A profile is of one model.
    this.#use(null, undefined);
    this.#status({ state: "opening", name: basename(path) });
    try {
      this.#model = await openModel(path);
      await this.#place();
      this.#status({ state: "idle" });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Takes a profile for the sweeps to come. Whether it is of this model shows when it is used. */
  async choose(path: string): Promise<void> {
    try {
      this.#use(basename(path), await readProfile(path));
      if (this.#abort === undefined) this.#status({ state: "idle" });
    } catch (error) {
      this.#fail(error);
    }
  }

  async take(command: WarmerCommand): Promise<void> {
    try {
      if (command.kind === "stop") this.#abort?.abort();
      else if (command.kind === "drop-profile") this.#use(null, undefined);
      else if (command.kind === "warm") await this.#warm(command.force, command.budget);
      else if (this.#abort === undefined) {
        this.#placement = command.placement;
        await this.#place();
        this.#status({ state: "idle" });
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #use(name: string | null, profile: Profile | undefined): void {
    this.#profile = profile;
    this.#send({ kind: "profile", name });
  }

  /** What the placement leaves on the CPU; of a format llama.cpp does not load, everything. */
  #target(model: Model): { target: Target; places: ReadonlyMap<string, Place> } {
    if (model.format !== "gguf") return { target: model, places: new Map() };
    const plan = planPass(model, this.#placement);
    const places = new Map<string, Place>();
    for (const { tensor, place } of plan.elsewhere) places.set(tensor.name, place);
    return { target: plan, places };
  }

  async #place(): Promise<void> {
    const model = this.#model;
    if (model === undefined) return;
    const { places } = this.#target(model);
    const blocks = model.tensors.map(({ name }) => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1));
    this.#send({
      kind: "model",
      model: {
        name: basename(model.files[0]?.path ?? ""),
        placement: this.#placement,
        layers: 1 + blocks.reduce((most, block) => Math.max(most, block), -1),
        tensors: model.tensors.map(({ name, byteLength }) => ({
          name,
          bytes: byteLength,
          place: places.get(name) ?? "cpu",
        })),
      },
    });
    // What was warmed before was of another plan.
    this.#send({ kind: "report", report: { runs: [], notes: [] } });
    await this.#look(model);
  }

  async #warm(force: boolean, budget: string): Promise<void> {
    const model = this.#model;
    if (model === undefined || this.#abort !== undefined) return;
    const abort = new AbortController();
    this.#abort = abort;
    const started = performance.now();
    let before = 0;
    let last = { bytesDone: 0, bytesTotal: 0 };
    let looking = Promise.resolve();
    const timer = setInterval(() => {
      looking = looking.then(() => this.#look(model)).catch(() => {});
    }, LOOK_MS);
    try {
      const report = await prefault(this.#target(model).target, {
        ...(force && { gate: "always" }),
        budget: budgetOf(budget),
        profile: this.#profile,
        signal: abort.signal,
        log: () => {},
        onProgress: (run) => {
          // Each run of a model counts from zero.
          if (run.bytesDone < last.bytesDone) before += last.bytesTotal;
          last = run;
          const seconds = (performance.now() - started) / 1000;
          const bytesDone = before + run.bytesDone;
          const bytesTotal = before + run.bytesTotal;
          this.#status({ state: "warming", bytesDone, bytesTotal, seconds });
        },
      });
      clearInterval(timer);
      await looking;
      if (this.#model !== model) return;
      await this.#look(model);
      this.#send({ kind: "report", report: reportView(report) });
      this.#status(outcome(report));
    } finally {
      clearInterval(timer);
      this.#abort = undefined;
    }
  }

  async #look(model: Model): Promise<void> {
    const { tensors } = await residency(model);
    if (this.#model !== model) return;
    const shares = tensors.map(({ bytes, residentBytes }) =>
      residentBytes === null ? null : bytes === 0 ? 1 : residentBytes / bytes,
    );
    this.#send({ kind: "residency", shares });
  }

  #status(status: Status): void {
    this.#send({ kind: "status", status });
  }

  #fail(error: unknown): void {
    const code = PrefaultError.is(error) ? error.code : "PREFAULT_INTERNAL";
    const message = error instanceof Error ? error.message : String(error);
    this.#status({ state: "failed", code, message });
  }
}
