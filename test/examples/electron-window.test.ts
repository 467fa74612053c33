import { join } from "node:path";
import { evict } from "prefault";
import type { Browser } from "puppeteer-core";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
  vi,
} from "vitest";
import type { Message, ModelView, Status } from "../../examples/electron/src/ipc.ts";
import { looksAtPageCache } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { electronApp } from "./electron/app.ts";
import { chromium, launchChromium, WindowPage } from "./electron/page.ts";
import { WarmerProcess } from "./electron/warmer-process.ts";

const GIB = 1024 ** 3;

let app: string;
let browser: Browser;
/** What a warmer says of a model of 60 GiB, of which 12 layers are for the GPU. */
let big: ModelView;

describe("the example's window, in Chromium", () => {
  beforeAll(async () => {
    if (chromium === undefined) return;
    app = await electronApp();
    browser = await launchChromium();
    big = await modelView(60 * GIB);
  });
  afterAll(() => browser?.close());

  let window: WindowPage;
  beforeEach(async ({ skip }) => {
    if (chromium === undefined) skip("there is no Chromium; CHROMIUM names one");
    window = await WindowPage.open(browser, app);
    await window.page.setViewport({ width: 960, height: 680 });
  });
  afterEach(async () => {
    if (chromium === undefined) return;
    expect(window.errors).toEqual([]);
    await window.page.close();
  });

  /** Every look the state has: light and dark, wide and narrow. Nothing may stick out. */
  async function look(name: string): Promise<void> {
    for (const width of [960, 380]) {
      for (const scheme of ["light", "dark"] as const) {
        const height = width === 380 ? 720 : 680;
        const out = await window.look(`${name}-${width}-${scheme}`, { width, height, scheme });
        expect(out, `${name}, ${width} pixels`).toEqual([]);
      }
    }
  }

  const status = (given: Status): Message => ({ kind: "status", status: given });
  /** The first part of what stays on the CPU is resident, as in the midst of a sweep. */
  const resident = (share: number): Message => {
    const onCpu = big.tensors.filter(({ place }) => place === "cpu");
    const wanted = share * onCpu.reduce((sum, { bytes }) => sum + bytes, 0);
    let before = 0;
    const shares = big.tensors.map(({ bytes, place }) => {
      if (place !== "cpu") return 0;
      const part = Math.min(Math.max((wanted - before) / bytes, 0), 1);
      before += bytes;
      return part;
    });
    return { kind: "residency", shares };
  };
  const bytesOnCpu = () =>
    big.tensors.reduce((sum, { bytes, place }) => sum + (place === "cpu" ? bytes : 0), 0);

  it("starts with nothing, and asks for a model", async () => {
    expect(await window.text("#title")).toBe("No model chosen");
    expect(
      await window.page.$eval("#warm", (button) => (button as HTMLButtonElement).disabled),
    ).toBe(true);
    await window.page.click("#choose");
    expect(window.invoked).toEqual(["choose-model"]);
    await look("empty");
  });

  it("shows a sweep under way", async () => {
    const total = bytesOnCpu();
    await window.send(
      { kind: "model", model: big },
      resident(0.42),
      status({ state: "warming", bytesDone: 0.42 * total, bytesTotal: total, seconds: 9.8 }),
    );
    expect(await window.text("#title")).toBe("Warming…");
    expect(await window.text("#detail")).toMatch(/^.* GiB of .* GiB · .* GiB\/s · \d+ s left$/);
    expect(
      await window.page.$eval("#progress", (bar) => (bar as HTMLProgressElement).value),
    ).toBeCloseTo(0.42);
    expect(await window.text("#warm")).toBe("Stop");
    expect(
      await window.page.$eval("#gpu-layers", (input) => (input as HTMLInputElement).valueAsNumber),
    ).toBe(12);
    const rows = await window.page.$$eval("#map li", (items) =>
      items.map((item) => item.textContent?.replace(/\u00a0/g, " ")),
    );
    expect(rows.some((row) => /^blk\.\d+100 %$/.test(row ?? ""))).toBe(true);
    expect(rows.some((row) => /^blk\.\d+0 %$/.test(row ?? ""))).toBe(true);
    await look("under-way");
    await window.page.click("#warm");
    await vi.waitFor(() => expect(window.commands).toEqual([{ kind: "stop" }]));
  });

  it("shows that all is resident", async () => {
    const total = bytesOnCpu();
    await window.send(
      { kind: "model", model: big },
      resident(1),
      status({
        state: "done",
        bytes: total,
        seconds: 23.3,
        residentBefore: 0.031 * total,
        residentAfter: total,
      }),
    );
    expect(await window.text("#title")).toBe("Resident");
    expect(await window.text("#message")).toBe("3 % was resident before, 100 % is now.");
    expect(await window.text("#resident")).toMatch(/100 %$/);
    await look("done");
  });

  it("shows why the gate skipped it, and offers to go on", async () => {
    await window.send(
      { kind: "model", model: big },
      resident(0),
      status({
        state: "skipped",
        bytes: bytesOnCpu(),
        reason: `skipped: ${(bytesOnCpu() / GIB).toFixed(2)} GiB exceeds 80% of 29.31 GiB RAM available now`,
      }),
    );
    expect(await window.text("#message")).toContain(
      " GiB exceeds 80% of 29.31 GiB RAM available now.",
    );
    await look("skipped");
    await window.page.click("#force");
    await vi.waitFor(() =>
      expect(window.commands).toEqual([{ kind: "warm", force: true, budget: "" }]),
    );
  });

  it("shows a failure by its code, however long what it says is", async () => {
    const path = `/media/${"a-folder-that-someone-named-at-length/".repeat(4)}model.gguf`;
    await window.send(
      { kind: "model", model: big },
      resident(0.2),
      status({
        state: "failed",
        code: "PREFAULT_READ_FAILED",
        message: `${path} could not be filled at byte 12884901888 (33554432 bytes): madvise(MADV_POPULATE_READ) of 33554432 bytes failed: EFAULT`,
      }),
    );
    expect(await window.text("#detail")).toBe("PREFAULT_READ_FAILED");
    await look("failed");
  });

  it("says when the warmer has died", async () => {
    await window.end(139);
    expect(await window.text("#detail")).toBe("WARMER_ENDED");
    expect(await window.text("#message")).toContain("139");
  });

  it("says so where the system does not tell what is resident", async () => {
    const shares = big.tensors.map(() => null);
    await window.send({ kind: "model", model: big }, { kind: "residency", shares });
    expect(await window.text("#resident")).toBe("the system does not say");
  });

  it("works with the real warmer, from choosing to done", looksAtPageCache, async () => {
    const model = join(inject("packageFolder"), "window.gguf");
    await writeSyntheticModel({ kind: "moe", path: model, targetBytes: 24 * 1024 ** 2 });
    await evict([{ path: model }]);
    const warmer = await WarmerProcess.start(join(app, "dist/warmer.js"));
    onTestFinished(() => warmer.end());
    let delivered = Promise.resolve();
    warmer.onMessage((message) => {
      delivered = delivered.then(() => window.send(message));
    });
    window.onCommand = (command) => warmer.fromWindow(command);
    warmer.fromMain({ kind: "open", path: model });
    await warmer.until("idle");
    await delivered;
    expect(await window.text("#name")).toBe("window.gguf");

    const placed = warmer.until("idle");
    await window.page.click("#cpu-moe");
    await placed;
    await delivered;
    const ended = warmer.until("done", "failed", "skipped");
    await window.page.click("#warm");
    await ended;
    await delivered;
    await window.page.waitForFunction(
      () => document.getElementById("title")?.textContent === "Resident",
    );
    expect(await window.text("#resident")).toMatch(/ (100|9\d) %$/);
  });
});

/** What the warmer makes of a model with its layers 20 of 32 on the CPU. */
async function modelView(targetBytes: number): Promise<ModelView> {
  const path = join(inject("packageFolder"), "mixture-of-experts-Q5.gguf");
  await writeSyntheticModel({ kind: "moe", path, targetBytes, layers: 32, contents: "hole" });
  const warmer = await WarmerProcess.start(join(app, "dist/warmer.js"));
  warmer.fromMain({ kind: "open", path });
  await warmer.until("idle");
  warmer.fromWindow({ kind: "place", placement: { gpuLayers: 12, cpuMoe: false } });
  await warmer.until("idle");
  const { model } = warmer;
  await warmer.end();
  return model;
}
