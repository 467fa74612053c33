import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadShim, type Shim } from "../../shims/index.ts";
import { type Arena, returnArena, takeArena } from "../../src/arena/arena.ts";
import { type Extent, layOut, PMD_BYTES } from "../../src/arena/layout.ts";
import { sharedBuffer } from "../../src/control/arena-control.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { mappingsOf } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;

describe.skipIf(process.platform !== "linux")("an arena", () => {
  const folder = temporaryFolder();
  const path = writeDataFile(join(folder, "data"), 8 * MIB);
  const original = readFileSync(path);
  let shim: Shim;
  let fd: number;
  beforeAll(async () => {
    shim = await loadShim();
    fd = openSync(path, "r");
  });
  afterAll(() => closeSync(fd));

  const extents = () =>
    layOut([
      [
        { offset: 0, byteLength: 4096 },
        { offset: 3 * MIB, byteLength: 3 * MIB },
      ],
      [{ offset: 5 * MIB, byteLength: 3 * MIB }],
    ]).extents;

  function placeAll(arena: Arena): readonly Extent[] {
    const all = extents();
    for (const extent of all) arena.place(extent, fd);
    return all;
  }

  const viewOf = (arena: Arena, extent: Extent) =>
    Buffer.from(
      new Uint8Array(
        sharedBuffer(arena.memory),
        extent.start + arena.alignOffset,
        extent.byteLength,
      ).slice(),
    );

  test("shows each extent of a file at its place", () => {
    const arena = takeArena(shim);
    for (const extent of placeAll(arena)) {
      const { offset, byteLength } = extent;
      expect(viewOf(arena, extent).equals(original.subarray(offset, offset + byteLength))).toBe(
        true,
      );
    }
    returnArena(arena);
  });

  test("has addresses that agree with the file's offsets modulo a folio", () => {
    const arena = takeArena(shim);
    placeAll(arena);
    const found = mappingsOf(path);
    expect(found.length).toBeGreaterThan(0);
    for (const { start, offset } of found) {
      expect(Number(start % BigInt(PMD_BYTES))).toBe(offset % PMD_BYTES);
    }
    returnArena(arena);
  });

  test("keeps its extents clear of its control page", () => {
    const arena = takeArena(shim);
    placeAll(arena);
    arena.control.cancel();
    arena.control.addProgress(5);
    expect(arena.control.cancelled).toBe(true);
    expect(arena.control.progress).toBe(5);
    expect(readFileSync(path).equals(original)).toBe(true);
    returnArena(arena);
  });

  test("leaves no mapping of a file behind when it is returned", () => {
    const arena = takeArena(shim);
    const placed = placeAll(arena);
    expect(mappingsOf(path).length).toBeGreaterThan(0);
    returnArena(arena);
    expect(mappingsOf(path)).toEqual([]);
    for (const extent of placed) {
      expect(viewOf(arena, extent).every((byte) => byte === 0)).toBe(true);
    }
  });

  test("can be restored twice", () => {
    const arena = takeArena(shim);
    placeAll(arena);
    arena.restore();
    arena.restore();
    returnArena(arena);
    expect(mappingsOf(path)).toEqual([]);
  });

  test("is used again", () => {
    const first = takeArena(shim);
    returnArena(first);
    const second = takeArena(shim);
    expect(second).toBe(first);
    placeAll(second);
    returnArena(second);
    expect(mappingsOf(path)).toEqual([]);
  });

  test("is restored after a extent that could not be placed", () => {
    const arena = takeArena(shim);
    const [extent] = placeAll(arena);
    if (extent === undefined) throw new Error("no extent");
    expect(() => arena.place({ ...extent, start: 64 * MIB, offset: 1 }, fd)).toThrow("EINVAL");
    returnArena(arena);
    expect(mappingsOf(path)).toEqual([]);
  });
});
