import { closeSync, openSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadShim, type Shim } from "../../shims/index.ts";
import { portableShim } from "../../shims/portable.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { fakeDarwin, PAGE_BYTES } from "./fake-darwin.ts";
import { shimSuite } from "./shim-suite.ts";
import { FILE_BYTES, withFile } from "./subject.ts";

// Windows' own is in wine.test.ts: it needs Windows's Node.
const shims: readonly (readonly [string, () => Shim | Promise<Shim>])[] = [
  ["this system's", loadShim],
  ["the portable", portableShim],
  ...(process.platform === "linux"
    ? [["macOS's over a made-up libc", () => fakeDarwin().shim] as const]
    : []),
];

describe.each(shims)("%s shim", (_name, make) => {
  const folder = temporaryFolder();
  test.each(shimSuite)("$name", async ({ run }) => {
    await run({ shim: await make(), folder });
  });
});

describe.skipIf(process.platform !== "linux")("the macOS shim", () => {
  const folder = temporaryFolder();

  test("advises reading what is in the file, and no more than an int counts", async () => {
    const { shim, advised } = fakeDarwin();
    await withFile({ shim, folder }, "advice", (fd) => {
      const chunk = { fd, byteLength: 2 ** 40, address: 0n };
      expect(shim.prefetch([{ ...chunk, offset: PAGE_BYTES }])).toBe(true);
      expect(advised).toEqual([{ offset: BigInt(PAGE_BYTES), count: FILE_BYTES - PAGE_BYTES }]);
      expect(shim.prefetch([{ ...chunk, offset: 2 * FILE_BYTES }])).toBe(false);
      expect(shim.prefetch([{ ...chunk, offset: 0, byteLength: 0 }])).toBe(false);
      expect(advised).toHaveLength(1);
    });
    const sparse = join(folder, "sparse");
    writeFileSync(sparse, "");
    truncateSync(sparse, 5 * 2 ** 30);
    const fd = openSync(sparse, "r");
    shim.prefetch([{ fd, offset: 0, byteLength: 4 * 2 ** 30, address: 0n }]);
    closeSync(fd);
    expect(advised.at(-1)).toEqual({ offset: 0n, count: 2 ** 31 - 1 });
  });

  test("counts what file pages give back as available", () => {
    const { shim, sysctls } = fakeDarwin();
    expect(shim.memory()).toEqual({
      totalBytes: 16 * 1024 ** 3,
      availableBytes: 301_000 * PAGE_BYTES,
    });
    sysctls.delete("vm.page_purgeable_count");
    expect(shim.memory()).toBeNull();
  });
});
