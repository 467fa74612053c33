import { execFileSync } from "node:child_process";
import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { evict, mapModel, prefault, residency } from "prefault";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { expectNearly, looksAtPageCache } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { mountBadFiles } from "../robustness/fuse.ts";
import { image, type Mount, type Mounted, overlay, tmpfs } from "./mount.ts";

const MODEL_BYTES = 48 * 1024 ** 2;
const quiet = { gate: "always", log: () => {} } as const;

interface FileSystem {
  readonly name: string;
  readonly mount: Mount;
  /** Whether the page cache is not the only place the bytes are. */
  readonly evicts: boolean;
}

const FILE_SYSTEMS: readonly FileSystem[] = [
  { name: "ext4", mount: image("ext4", "-q"), evicts: true },
  { name: "XFS", mount: image("xfs", "-q"), evicts: true },
  { name: "btrfs", mount: image("btrfs", "-q"), evicts: true },
  { name: "tmpfs", mount: tmpfs, evicts: false },
  { name: "overlay", mount: overlay, evicts: true },
];

describe.each(FILE_SYSTEMS)("on $name", ({ mount, evicts }) => {
  const below = temporaryFolder();
  const mounted: Mounted | string = mount(below);
  const reason = typeof mounted === "string" ? mounted : undefined;
  const path = typeof mounted === "string" ? "" : join(mounted.folder, "model.gguf");

  beforeAll(async () => {
    if (reason !== undefined) return;
    await writeSyntheticModel({ kind: "moe", path, targetBytes: MODEL_BYTES });
    execFileSync("sync", ["-f", path]);
  });
  afterAll(() => {
    if (typeof mounted !== "string") mounted.unmount();
  });

  test.for(["auto", "populate", "touch", "read"] as const)(
    "a model is swept whole: %s",
    looksAtPageCache,
    async (strategy, { skip }) => {
      skip(reason !== undefined, reason);
      const { residentBytesAfter: left } = await evict([{ path }]);
      if (evicts) expect(left).toBe(0);
      const report = await prefault(path, { ...quiet, strategy });
      expect(report).toMatchObject({ ran: true, failures: [] });
      expect(report.error).toBeUndefined();
      expectNearly(report.residentBytesAfter, report.bytes);
      expectNearly(fincore(path), report.bytes);
    },
  );

  test(
    "residency agrees with fincore, tensor by tensor and in all",
    looksAtPageCache,
    async ({ skip }) => {
      skip(reason !== undefined, reason);
      const { residentBytes, tensors } = await residency(path);
      expectNearly(residentBytes, fincore(path) ?? 0);
      for (const tensor of tensors) expect(tensor.residentBytes).toBeLessThanOrEqual(tensor.bytes);
    },
  );

  test("mapped tensors are the file's bytes", async ({ skip }) => {
    skip(reason !== undefined, reason);
    await using model = await mapModel(path);
    const bytes = readFileSync(path);
    for (const { name, offset, byteLength } of model.model.tensors) {
      const [view] = model.tensor(name).views;
      const expected = bytes.subarray(offset, offset + byteLength);
      expect(Buffer.compare(Buffer.from(view ?? []), expected), name).toBe(0);
    }
  });

  test("a model cut short is an error by code", async ({ skip }) => {
    skip(reason !== undefined, reason);
    truncateSync(path, MODEL_BYTES / 2);
    const report = await prefault(path, quiet);
    expect(report.error?.code).toBe("PREFAULT_INVALID_MODEL");
  });
});

const fuse = await mountBadFiles(temporaryFolder());

describe("on FUSE", () => {
  afterAll(() => {
    if (typeof fuse !== "string") fuse.unmount();
  });
  const reason = typeof fuse === "string" ? fuse : undefined;

  test("a file is read, and its residency is known or null", looksAtPageCache, async ({ skip }) => {
    skip(reason !== undefined, reason);
    // Answers like any other file until it is told not to.
    const path = typeof fuse === "string" ? "" : fuse.stall;
    const report = await prefault([{ path }], quiet);
    expect(report).toMatchObject({ ran: true, strategy: "read", failures: [] });
    const resident = report.residentBytesAfter;
    if (resident !== null) expectNearly(resident, report.bytes);
  });
});

/** An independent judge: util-linux. */
function fincore(path: string): number {
  return Number(execFileSync("fincore", ["-bno", "RES", path], { encoding: "utf8" }));
}
