import type { Browser } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type {
  Message,
  ModelView,
  ReportView,
  ServerStatus,
} from "../../examples/electron/src/ipc.ts";
import { electronApp } from "./electron/app.ts";
import { chromium, launchChromium, WindowPage } from "./electron/page.ts";

const MIB = 1024 ** 2;

const MODEL: ModelView = {
  name: "mixture.gguf",
  placement: { gpuLayers: 0, cpuMoe: false },
  layers: 1,
  tensors: [
    { name: "blk.0.attn_q.weight", bytes: 3 * MIB, place: "cpu" },
    { name: "blk.0.ffn_up_exps.weight", bytes: 1020 * MIB, place: "cpu" },
  ],
};

const CHOSEN: ReportView = {
  runs: [
    {
      name: "core",
      plannedBytes: 3 * MIB,
      leftOutBytes: 0,
      residentBytes: 3 * MIB,
      skipped: null,
    },
    {
      name: "experts",
      plannedBytes: 506 * MIB,
      leftOutBytes: 514 * MIB,
      residentBytes: 505 * MIB,
      skipped: null,
    },
  ],
  notes: [
    "a budget of 512.0 MiB: Worth it: the budget covers 83 % of the selections (50 % unranked, 51 % by an even router's chance)",
  ],
};

describe("the example's window for what does not fit, and for its server", () => {
  let app: string;
  let browser: Browser;
  beforeAll(async () => {
    if (chromium === undefined) return;
    app = await electronApp();
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());

  let window: WindowPage;
  beforeEach(async ({ skip }) => {
    if (chromium === undefined) skip("there is no Chromium; CHROMIUM names one");
    window = await WindowPage.open(browser, app);
    await window.send({ kind: "model", model: MODEL }, idle);
  });
  afterEach(async () => {
    if (chromium === undefined) return;
    expect(window.errors).toEqual([]);
    await window.page.close();
  });

  const idle: Message = { kind: "status", status: { state: "idle" } };
  const report = (given: ReportView): Message => ({ kind: "report", report: given });
  const server = (given: ServerStatus): Message => ({ kind: "server", server: given });

  const texts = (selector: string) =>
    window.page.$$eval(selector, (found) =>
      found.map((each) => each.textContent?.replace(/\u00a0/g, " ")),
    );
  const isShown = (selector: string) =>
    window.page.$eval(selector, (element) => (element as HTMLElement).checkVisibility());

  /** Nothing may stick out, light or dark, wide or narrow. */
  async function look(name: string): Promise<void> {
    for (const [width, scheme] of [
      [960, "light"],
      [380, "dark"],
    ] as const) {
      const out = await window.look(`${name}-${width}`, { width, height: 720, scheme });
      expect(out, `${name}, ${width} pixels`).toEqual([]);
    }
  }

  it("sends the budget as it was written, with the wish to warm", async () => {
    await window.page.type("#budget", "6 GiB");
    await window.page.click("#warm");
    const command = { kind: "warm", force: false, budget: "6 GiB" };
    await vi.waitFor(() => expect(window.commands).toEqual([command]));
  });

  it("has a profile chosen, shows its name, and lets it be dropped", async () => {
    expect(await isShown("#drop-profile")).toBe(false);
    await window.page.click("#profile");
    expect(window.invoked).toEqual(["choose-profile"]);
    await window.send({ kind: "profile", name: "hot.csv" });
    expect(await window.text("#profile")).toBe("Profile: hot.csv");
    await window.send({ kind: "profile", name: `${"a-name-at-length-".repeat(10)}.gguf` });
    await look("profile");
    await window.page.click("#drop-profile");
    await vi.waitFor(() => expect(window.commands).toEqual([{ kind: "drop-profile" }]));
    await window.send({ kind: "profile", name: null });
    expect(await window.text("#profile")).toBe("Profile…");
    expect(await isShown("#drop-profile")).toBe(false);
  });

  it("shows core and experts apart, with what was planned and left out, and the verdict", async () => {
    await window.send(report(CHOSEN));
    expect(await texts("#runs li")).toEqual([
      "Core what every token reads3.0 MiB planned · 3.0 MiB resident",
      "Experts of which a token reads a few506 MiB planned · 514 MiB left out · 505 MiB resident",
    ]);
    expect(await texts("#notes li")).toEqual([
      "A budget of 512.0 MiB: Worth it: the budget covers 83 % of the selections (50 % unranked, 51 % by an even router's chance).",
    ]);
    await look("runs");
    await window.send({ kind: "model", model: MODEL });
    expect(await texts("#runs li, #notes li")).toEqual([]);
  });

  it("says which of them was skipped, and why", async () => {
    const [core, experts] = CHOSEN.runs;
    if (core === undefined || experts === undefined) throw new Error("no runs");
    const skipped = "skipped: 0.99 GiB exceeds 80% of 1.00 GiB RAM available now";
    const runs = [core, { ...experts, leftOutBytes: 0, residentBytes: null, skipped }];
    await window.send(report({ runs, notes: [] }));
    expect(await texts("#runs p")).toEqual([
      "Skipped: 0.99 GiB exceeds 80% of 1.00 GiB RAM available now.",
    ]);
    expect((await texts("#runs li"))[1]).toMatch(/506 MiB planned(?!.*resident)/);
    await look("runs-skipped");
  });

  it("shows no server where the settings name none", async () => {
    await window.send(server({ state: "none" }));
    expect(await isShown("#server")).toBe(false);
  });

  it("starts and ends the server, naming nothing, and shows its states", async () => {
    const name = "llama-server";
    const running = { state: "running", name, isReady: false, note: "", report: null } as const;
    const shown = async (status: ServerStatus) => {
      await window.send(server(status));
      return window.text("#server-title");
    };
    expect(await shown({ state: "idle", name })).toBe("llama-server: not started");
    await window.page.click("#server-button");
    expect(await shown({ ...running, note: "warming waits for its /health" })).toBe(
      "llama-server: starting…",
    );
    expect(await window.text("#server-note")).toBe("warming waits for its /health");
    expect(await shown({ ...running, isReady: null })).toBe("llama-server: running");
    expect(await shown({ ...running, isReady: true })).toBe("llama-server: ready");
    const warmed = { ...running, isReady: true, report: CHOSEN };
    expect(await shown(warmed)).toBe("llama-server: ready, warmed");
    expect(await texts("#server-runs li")).toHaveLength(2);
    await look("server");
    await window.page.click("#server-button");
    expect(await shown({ state: "ending", name })).toBe("llama-server: ending…");
    await window.page.click("#server-button"); // which has no effect now
    expect(await shown({ state: "ended", name, by: 0 })).toBe("llama-server: ended with status 0");
    expect(await shown({ state: "ended", name, by: "SIGKILL" })).toBe(
      "llama-server: ended by SIGKILL",
    );
    expect(await shown({ state: "failed", message: "spawn /nowhere ENOENT" })).toBe(
      "The server was not started",
    );
    expect(await window.text("#server-note")).toBe("spawn /nowhere ENOENT");
    await vi.waitFor(() =>
      expect(window.commands).toEqual([{ kind: "start-server" }, { kind: "stop-server" }]),
    );
  });

  it("shows no server any more when the warmer has died: it ends with it", async () => {
    await window.send(server({ state: "idle", name: "llama-server" }));
    await window.end(139);
    expect(await isShown("#server")).toBe(false);
  });
});
