import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { evict } from "prefault";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type BudgetModel, writeBudgetModel, writeCsvProfile } from "../helpers/budget-model.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { electronApp } from "./electron/app.ts";
import { WarmerProcess } from "./electron/warmer-process.ts";

const MIB = 1024 ** 2;

/** What the window's fields for models larger than memory come to, in the utility process. */
describe("the example with a budget and a profile", () => {
  const folder = temporaryFolder();
  const profile = join(folder, "ausgewählt.csv");
  let app: string;
  let model: BudgetModel;
  let warmer: WarmerProcess;
  beforeAll(async () => {
    app = await electronApp();
    model = await writeBudgetModel(join(folder, "model.gguf"));
    writeCsvProfile(profile, model, 1.2, 0);
  });
  beforeEach(async () => {
    warmer = await WarmerProcess.start(join(app, "dist/warmer.js"));
    await open(model.path);
  });
  afterEach(async () => {
    await warmer.end();
    expect(warmer.stderr).toBe("");
  });

  async function open(path: string) {
    const opened = warmer.until("idle", "failed");
    warmer.fromMain({ kind: "open", path });
    expect((await opened).status).toEqual({ state: "idle" });
  }

  async function choose(path: string) {
    const chosen = warmer.until("idle", "failed");
    warmer.fromMain({ kind: "profile", path });
    return (await chosen).status;
  }

  async function warm(budget: string) {
    const ended = warmer.until("done", "skipped", "failed");
    warmer.fromWindow({ kind: "warm", force: true, budget });
    return (await ended).status;
  }

  const profileNames = () =>
    warmer.messages.flatMap((message) => (message.kind === "profile" ? [message.name] : []));

  it("warms core and experts as they fit, and tells them apart", looksAtPageCache, async () => {
    await evict(model.path);
    expect(await choose(profile)).toEqual({ state: "idle" });
    expect(profileNames().at(-1)).toBe("ausgewählt.csv");
    expect(await warm("8 MiB")).toMatchObject({ state: "done" });
    const { runs, notes } = warmer.report;
    expect(runs.map(({ name, skipped }) => [name, skipped])).toEqual([
      ["core", null],
      ["experts", null],
    ]);
    const [core, experts] = runs;
    expect(core?.leftOutBytes).toBe(0);
    expect(experts?.leftOutBytes).toBeGreaterThan(0);
    const planned = (core?.plannedBytes ?? 0) + (experts?.plannedBytes ?? 0);
    expect(planned).toBeLessThanOrEqual(8 * MIB);
    expect(planned).toBeGreaterThan(7 * MIB);
    for (const { plannedBytes, residentBytes } of runs) {
      expect(residentBytes).toBeGreaterThan(mostOf(plannedBytes));
      expect(residentBytes).toBeLessThanOrEqual(plannedBytes);
    }
    expect(notes).toContainEqual(expect.stringMatching(/^a budget of 8\.00 MiB: Worth it: /));
  });

  it("says why the experts of a budget for less than a token were left out", async () => {
    expect(await warm("2.5M")).toMatchObject({ state: "done" });
    const { runs, notes } = warmer.report;
    expect(runs).toMatchObject([
      { name: "core", skipped: null },
      { name: "experts", plannedBytes: 0, skipped: "the budget has no room for it" },
    ]);
    expect(notes.join("\n")).toContain("Below one token's cycle");
  });

  it("fills all that fits with auto, and everything without a budget", async () => {
    for (const budget of ["auto", " auto ", ""]) {
      expect(await warm(budget)).toMatchObject({ state: "done" });
      const whole = warmer.report.runs.reduce((sum, { plannedBytes }) => sum + plannedBytes, 0);
      expect(whole).toBeGreaterThan(0.9 * model.bytes);
    }
  });

  it.each(["40%", "a lot", "-1", "9999999999 TiB"])(
    "refuses %s in the library's words",
    async (budget) => {
      const status = await warm(budget);
      expect(status).toMatchObject({ state: "failed", code: "PREFAULT_INVALID_OPTION" });
      const { message } = status as { message: string };
      expect(message).toMatch(/^budget must be "auto" or an integer from 0 to \d+, got /);
      expect(warmer.report.runs).toEqual([]);
    },
  );

  it("refuses a file that is no profile, and a profile of another model", async () => {
    const none = join(folder, "none.csv");
    writeFileSync(none, "\0\0\0\0");
    expect(await choose(none)).toMatchObject({ code: "PREFAULT_INVALID_OPTION" });
    expect(await choose(join(folder, "absent.csv"))).toMatchObject({ code: "PREFAULT_NOT_FOUND" });
    const other = join(folder, "other.csv");
    writeFileSync(other, "layer,expert,count\n99,0,1\n");
    expect(await choose(other)).toEqual({ state: "idle" });
    const refused = await warm("8 MiB");
    expect(refused).toMatchObject({ state: "failed", code: "PREFAULT_INVALID_OPTION" });
    expect(refused).toMatchObject({ message: expect.stringContaining("of another model") });
  });

  it("forgets a profile when told to, and with its model", async () => {
    await choose(profile);
    warmer.fromWindow({ kind: "drop-profile" });
    await warm("8 MiB");
    expect(warmer.report.notes.join("\n")).toContain("there is no profile");
    await choose(profile);
    await open(model.path);
    expect(profileNames()).toEqual([null, "ausgewählt.csv", null, "ausgewählt.csv", null]);
    expect(warmer.report.runs).toEqual([]);
  });
});
