import { readFileSync } from "node:fs";
import { join } from "node:path";
import { evict, mapModel, prefault } from "prefault";
import { describe, expect, test } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { sharedBuffer } from "../../src/control/arena-control.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;
const BYTES = 34 * MIB;
/** Not at a multiple of anything: the views' first and last pages are stored in and read from the file. */
const STORED = { start: MIB + 123, end: 33 * MIB + 123 };

const { canPlace, canPopulate, place, addressOf, restore } = await loadShim();

// The cold files are evicted ones, and the flags of a mapping are in /proc.
describe.skipIf(process.platform !== "linux" || !canPlace)("what a caller stored", () => {
  const folder = temporaryFolder();

  test.for(
    ["auto", "populate", "touch", "read"].flatMap((strategy) =>
      ["cold", "warm"].map((cache) => [strategy, cache] as const),
    ),
  )("in a view stays: %s, with a %s file", async ([strategy, cache]) => {
    const path = writeDataFile(join(folder, `${strategy}-${cache}`), BYTES);
    const original = readFileSync(path);
    if (cache === "cold") await evict([{ path }]);
    await using model = await mapModel(path);
    const [view = new Uint8Array()] = model.tensor(`${strategy}-${cache}`).views;
    view.fill(7, STORED.start, STORED.end);
    for (const workers of [1, 3]) {
      const options = { strategy: strategy as "auto", workers, chunkBytes: 4 * MIB, log() {} };
      const report = await model.prefault({ ...options, gate: "always" });
      expect(report).toMatchObject({ ran: true, failures: [] });
    }
    const stored = Buffer.from(view.subarray(STORED.start, STORED.end));
    expect(stored.equals(Buffer.alloc(stored.length, 7)), "what was stored").toBe(true);
    const before = Buffer.from(view.subarray(0, STORED.start));
    expect(before.equals(original.subarray(0, STORED.start))).toBe(true);
    const after = Buffer.from(view.subarray(STORED.end));
    expect(after.equals(original.subarray(STORED.end))).toBe(true);
    expect(readFileSync(path).equals(original), "the file").toBe(true);
  });

  test.skipIf(!canPopulate)(
    "in a mapping of its own stays, and so does what it asked of the kernel",
    async () => {
      const path = writeDataFile(join(folder, "addresses"), 8 * MIB);
      const memory = new WebAssembly.Memory({ initial: 160, maximum: 160, shared: true });
      const buffer = sharedBuffer(memory);
      const bytes = new Uint8Array(buffer);
      const address = addressOf(buffer);
      const { open } = await import("node:fs/promises");
      await using handle = await open(path);
      place(address, 8 * MIB, handle.fd, 0);
      bytes.fill(7, 0, 4 * MIB);
      const flags = () => vmFlagsAt(address);
      const before = flags();
      const report = await prefault([{ address, byteLength: 8 * MIB }], {
        gate: "always",
        log() {},
      });
      expect(report).toMatchObject({ ran: true, failures: [] });
      expect(bytes.subarray(0, 4 * MIB).every((byte) => byte === 7)).toBe(true);
      expect(flags()).toBe(before);
      restore(address, 8 * MIB);
    },
  );
});

/** What the kernel was asked for a mapping, such as random access. Linux only. */
function vmFlagsAt(address: bigint): string | undefined {
  const smaps = readFileSync("/proc/self/smaps", "utf8");
  const from = smaps.indexOf(`${address.toString(16)}-`);
  return from < 0 ? undefined : /VmFlags:(.*)/.exec(smaps.slice(from))?.[1];
}
