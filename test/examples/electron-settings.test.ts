import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ROOT } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { electronApp } from "./electron/app.ts";
import { is, serverHost } from "./electron/server-host.ts";

describe.skipIf(process.platform !== "linux")("a server in the example's settings", () => {
  const folder = temporaryFolder();
  let app: string;
  beforeAll(async () => {
    app = await electronApp();
  });
  const host = (server: () => unknown) => serverHost(app, folder, server);

  it.each([
    [{ command: "llama-server -m model.gguf" }, "server.command must be a list of words"],
    [{ command: [] }, "server.command must be a list of words"],
    [{ command: ["llama-server", 8080] }, "server.command must be a list of words"],
    [{ command: ["llama-server"], ready: "soon" }, "server.ready must be an http: or https: URL"],
  ])("is refused as %j", async (server, message) => {
    const { warmer } = await host(() => server);
    const failed = await warmer.untilServer(() => true);
    expect(failed).toMatchObject({ state: "failed", message: expect.stringContaining(message) });
  });

  it("is found in the settings that the README shows", async () => {
    const readme = readFileSync(join(ROOT, "examples/electron/README.md"), "utf8");
    const [, shown = ""] = /^```json\n([\s\S]*?)^```$/m.exec(readme) ?? [];
    const { warmer } = await host(() => JSON.parse(shown).server);
    expect(await warmer.untilServer(() => true)).toEqual({ state: "idle", name: "llama-server" });
  });

  it("is none without settings, whatever the window says, and is found when they come", async () => {
    const { warmer, settings } = await host(() => undefined);
    expect(await warmer.untilServer(() => true)).toEqual({ state: "none" });
    const from = warmer.messages.length;
    warmer.fromWindow({ kind: "start-server" });
    expect(await warmer.untilServer(() => true, from)).toEqual({ state: "none" });
    writeFileSync(settings, "{");
    warmer.fromWindow({ kind: "start-server" });
    const failed = await warmer.untilServer(is("failed"));
    expect(failed).toMatchObject({ message: expect.stringMatching(/^settings\.json: /) });
  });
});
