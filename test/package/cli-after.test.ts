import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { prefault, start } from "./cli-process.ts";

const model = join(temporaryFolder(), "model.gguf");
beforeAll(() => writeSyntheticModel({ kind: "dense", path: model }));

/** Answers with one status after the other, and then always with the last. */
async function server(statuses: readonly number[]) {
  let asked = 0;
  const listener = createServer((_, response) => {
    response.writeHead(statuses[Math.min(asked++, statuses.length - 1)] ?? 500).end();
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void listener.close());
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/health`, asked: () => asked, listener };
}

describe("warm --after URL", () => {
  it("warms when the URL answers 200, and not before", async () => {
    const { url, asked } = await server([503, 404, 200]);
    const { code, stdout } = await prefault([model, "--after", url, "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ ran: true });
    expect(code).toBe(0);
    expect(asked()).toBe(3);
  });

  it("ends with 130 while it waits, when it is interrupted", async () => {
    const { url, listener } = await server([503]);
    const command = start([model, "--after", url]);
    await once(listener, "request");
    command.kill("SIGINT");
    expect(await command.ended).toMatchObject({ code: 130 });
  });

  it("does not wait when it is disabled", async () => {
    const { url, asked } = await server([503]);
    const { code } = await prefault([model, "--after", url], { env: { PREFAULT: "0" } });
    expect({ code, asked: asked() }).toEqual({ code: 0, asked: 0 });
  });

  it("refuses what is no URL", async () => {
    const { code, stderr } = await prefault([model, "--after", "soon"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/--after.*http: or https: URL/);
  });
});
