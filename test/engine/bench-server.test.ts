import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { Server } from "../../bench/engine/client.ts";
import { measureRouting } from "../../bench/engine/routing-of-model.ts";
import { whyNoServer } from "../../bench/engine/run-server.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { writeRoutedModel } from "../models/routed-model.ts";

const ENGINE = "build/engine";
const LAYERS = 3;
const EXPERTS = 16;
const USED = 4;

const missing = whyNoServer(ENGINE);
if (missing !== undefined) console.warn(missing);

describe.skipIf(missing !== undefined)("the engine that the benches measure", () => {
  const path = join(temporaryFolder(), "routed.gguf");

  beforeAll(async () => {
    const size = { hidden: 256, expertFeedForward: 1024 };
    await writeRoutedModel({ path, layers: LAYERS, experts: EXPERTS, expertsUsed: USED, ...size });
  });

  it("says that it is healthy, then gives the tokens it is asked for, with a time for each", async () => {
    const server = await Server.start({ model: path, engine: ENGINE, args: ["-t", "1"] });
    try {
      const toHealthy = await server.healthy();
      const answer = await server.complete({ prompt: "a page", tokens: 25 });
      expect(answer.toFirstToken).toBeGreaterThan(0);
      expect(answer.to24th).toBeGreaterThan(answer.toFifth);
      expect(answer.rates).toHaveLength(1);
      expect(answer.startToFirstToken).toBeGreaterThan(toHealthy);
    } finally {
      await server.stop();
    }
  });

  it("gives the same tokens for the same seed, as text and as tokens", async () => {
    const server = await Server.start({ model: path, engine: ENGINE, args: ["-t", "1"] });
    const ask = async (body: object) => {
      const url = `http://127.0.0.1:${server.port}/completion`;
      return (await fetch(url, { method: "POST", body: JSON.stringify(body) })).json();
    };
    try {
      await server.healthy();
      const request = { prompt: "a page", n_predict: 8, seed: 3 };
      const first = (await ask(request)) as { tokens: number[] };
      expect(first.tokens).toHaveLength(8);
      expect(await ask(request)).toMatchObject({ tokens: first.tokens });
      expect(await ask({ n_predict: 1 })).toMatchObject({ error: { code: 400 } });
    } finally {
      await server.stop();
    }
  });

  it("tells by its page table which experts each token used", async () => {
    const { routing, profile } = await measureRouting(path, ENGINE, 4);
    expect(routing.experts).toBe(LAYERS * EXPERTS);
    expect(routing.distinct).toBeGreaterThan(LAYERS * USED);
    const all = profile.weights.flat().reduce((sum, count) => sum + count, 0);
    expect(all).toBe(profile.samples * LAYERS * USED);
  });
});
