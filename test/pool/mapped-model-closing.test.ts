import { join } from "node:path";
import { evict, mapModel, prefault } from "prefault";
import { describe, expect, test } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { descriptorsOf } from "../helpers/open-descriptors.ts";
import { mappingsOf } from "../helpers/process-facts.ts";
import { runFixture } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";

const MIB = 1024 ** 2;

const { canPlace } = await loadShim();
const quiet = { log() {} };

// What is mapped, and what is left of it, is read from /proc.
describe.skipIf(process.platform !== "linux" || !canPlace)("a mapped model", () => {
  const folder = temporaryFolder();

  async function small(name: string): Promise<string> {
    const path = join(folder, `${name}.gguf`);
    await writeSyntheticModel({ kind: "dense", path, targetBytes: 16 * MIB });
    return path;
  }

  describe("that is closed", () => {
    test("reads zeros in every worker, hundreds of times, and crashes none", async () => {
      const path = join(folder, "closing.gguf");
      await writeSyntheticModel({ kind: "dense", path, layers: 1 });
      const counts = await runFixture("closing-models.ts", [path, "300"]);
      expect(counts).toEqual({ shown: 300, zeros: 300 });
    });

    test("leaves no mapping and no descriptor behind", async () => {
      const path = await small("left");
      const model = await mapModel(path);
      await model.prefault(quiet);
      expect(mappingsOf(path).length).toBeGreaterThan(0);
      await model.close();
      expect(mappingsOf(path)).toEqual([]);
      expect(descriptorsOf(path)).toBe(0);
    });

    test("is not of use any more", async () => {
      const model = await mapModel(await small("closed"));
      await model.close();
      const closed = expect.objectContaining({ code: "PREFAULT_CLOSED" });
      expect(() => model.tensor("token_embd.weight")).toThrow(closed);
      expect(() => model.arena("token_embd.weight")).toThrow(closed);
      await expect(model.prefault(quiet)).rejects.toEqual(closed);
    });

    test("may be closed again, also at the same time", async () => {
      const path = await small("twice");
      const model = await mapModel(path);
      await Promise.all([model.close(), model.close(), model[Symbol.asyncDispose]()]);
      await model.close();
      expect(mappingsOf(path)).toEqual([]);
    });

    test("lets a sweep that is under way end first", async () => {
      const path = await small("during");
      await evict(path);
      const model = await mapModel(path);
      const order: string[] = [];
      const sweeps = [0, 1].map(async () => {
        const report = await model.prefault(quiet);
        order.push("swept");
        return report;
      });
      await model.close();
      order.push("closed");
      expect(order).toEqual(["swept", "swept", "closed"]);
      for (const report of await Promise.all(sweeps)) {
        expect(report).toMatchObject({ ran: true, failures: [] });
      }
      expect(mappingsOf(path)).toEqual([]);
    });

    test("is closed at the end of an `await using` block", async () => {
      const path = await small("using");
      {
        await using model = await mapModel(path);
        expect(model.tensorNames).not.toEqual([]);
        expect(mappingsOf(path).length).toBeGreaterThan(0);
      }
      expect(mappingsOf(path)).toEqual([]);
      expect(descriptorsOf(path)).toBe(0);
    });

    test("does not show its file to those who hold its memory when something else is swept", async () => {
      const path = await small("next");
      const model = await mapModel(path);
      const [view] = model.tensor("token_embd.weight").views;
      await model.close();
      await evict(path);
      const sweep = prefault(path, { ...quiet, gate: "always", onError: "throw" });
      let seen = 0;
      const look = setInterval(() => {
        seen += view?.some((byte) => byte !== 0) ? 1 : 0;
      }, 1);
      await sweep;
      clearInterval(look);
      expect(seen).toBe(0);
    });
  });

  test("leaves nothing behind when an option cannot be", async () => {
    const path = await small("invalid");
    await expect(mapModel(path, { gpuLayers: 1.5 })).rejects.toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
    });
    expect(mappingsOf(path)).toEqual([]);
    expect(descriptorsOf(path)).toBe(0);
  });
});
