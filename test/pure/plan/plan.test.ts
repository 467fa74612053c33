import { linkSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { UNKNOWN_FACTS } from "../../../shims/file-facts.ts";
import { planRegions } from "../../../src/plan/plan.ts";
import type { FileRegion } from "../../../src/plan/region.ts";
import { descriptorsOf } from "../../helpers/open-descriptors.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

const PAGE = 4096;
const system = { pageBytes: PAGE, describeFile: async () => UNKNOWN_FACTS };
const SIZE = 10 * PAGE + 100;

const folder = temporaryFolder();
const write = (name: string, size = SIZE): string => {
  const path = join(folder, name);
  writeFileSync(path, "");
  truncateSync(path, size);
  return path;
};
const a = write("a");
const b = write("b");

async function plan(regions: readonly FileRegion[]) {
  const { files, bytes, regions: count, locate, close } = await planRegions(regions, system);
  await close();
  return {
    bytes,
    regions: count,
    files: files.map(({ file, bytes: own, ranges }) => {
      return { path: file.path, bytes: own, ranges: [...ranges] };
    }),
    located: regions.map((region) => {
      const { index, range } = locate(region);
      return { index, ...range };
    }),
  };
}

describe("planRegions", () => {
  test("counts each byte once and widens to whole pages", async () => {
    expect(
      await plan([
        { path: a, offset: 10, byteLength: 20 },
        { path: a, offset: 20, byteLength: 20 },
        { path: a, offset: 3 * PAGE, byteLength: 1 },
      ]),
    ).toMatchObject({
      bytes: 31,
      regions: 2,
      files: [
        {
          path: a,
          bytes: 31,
          ranges: [
            { offset: 0, byteLength: PAGE },
            { offset: 3 * PAGE, byteLength: PAGE },
          ],
        },
      ],
    });
  });

  test("takes a region without offset from the start, and without length to the end", async () => {
    expect((await plan([{ path: a }])).bytes).toBe(SIZE);
    expect((await plan([{ path: a, byteLength: 5 }])).bytes).toBe(5);
    expect((await plan([{ path: a, offset: SIZE - 7 }])).bytes).toBe(7);
    expect((await plan([{ path: a, offset: SIZE }])).bytes).toBe(0);
  });

  test("tells where each region lies, and of what it does not know that it does not", async () => {
    const regions = [{ path: b, offset: 7, byteLength: 8 }, { path: a }, { path: b, offset: SIZE }];
    expect((await plan(regions)).located).toEqual([
      { index: 0, offset: 7, byteLength: 8 },
      { index: 1, offset: 0, byteLength: SIZE },
      { index: 0, offset: SIZE, byteLength: 0 },
    ]);
    const { locate, close } = await planRegions([{ path: a }], system);
    await close();
    expect(() => locate({ path: b })).toThrow(RangeError);
  });

  test("plans files apart", async () => {
    const { bytes, regions, files } = await plan([{ path: a }, { path: b }]);
    expect({ bytes, regions }).toEqual({ bytes: 2 * SIZE, regions: 2 });
    expect(files.map(({ path }) => path)).toEqual([a, b]);
  });

  test("plans a file once that is reached by several paths", async () => {
    const hard = join(folder, "hard");
    const symbolic = join(folder, "symbolic");
    linkSync(a, hard);
    symlinkSync(a, symbolic);
    const paths = [a, hard, symbolic, relative(process.cwd(), a), join(folder, ".", "a")];
    const planned = await plan(paths.map((path) => ({ path })));
    expect(planned).toMatchObject({ bytes: SIZE, regions: 1, files: [{ path: a }] });
    expect(planned.located).toEqual(paths.map(() => ({ index: 0, offset: 0, byteLength: SIZE })));
  });

  test.each([
    { offset: -1, byteLength: 1 },
    { offset: 0, byteLength: -1 },
    { offset: 0, byteLength: SIZE + 1 },
    { offset: SIZE, byteLength: 1 },
    { offset: SIZE + 1 },
    { offset: 0.5, byteLength: 1 },
    { offset: 0, byteLength: Number.NaN },
    { offset: 2 ** 53, byteLength: 1 },
    { offset: Number.MAX_SAFE_INTEGER, byteLength: Number.MAX_SAFE_INTEGER },
  ])("refuses %j, which is not inside the file", async (region) => {
    await expect(planRegions([{ path: a, ...region }], system)).rejects.toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
      path: a,
    });
  });

  test("plans nothing for nothing, and for regions of no length", async () => {
    expect(await plan([])).toEqual({ bytes: 0, regions: 0, files: [], located: [] });
    expect(await plan([{ path: a, byteLength: 0 }])).toMatchObject({ bytes: 0, regions: 0 });
  });

  test.skipIf(process.platform !== "linux")("leaves no descriptor behind", async () => {
    const { close } = await planRegions(
      [{ path: a }, { path: b }, { path: join(folder, "./a") }],
      system,
    );
    expect(descriptorsOf(folder)).toBe(2);
    await close();
    expect(descriptorsOf(folder)).toBe(0);
    const absent = join(folder, "absent");
    await expect(planRegions([{ path: a }, { path: absent }], system)).rejects.toThrow(
      "no such file",
    );
    await expect(planRegions([{ path: b, offset: -1 }], system)).rejects.toThrow("not inside");
    expect(descriptorsOf(folder)).toBe(0);
  });
});
