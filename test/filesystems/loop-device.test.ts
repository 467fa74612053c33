import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type FileFacts, loadShim } from "../../shims/index.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { image } from "./mount.ts";

const shim = await loadShim();
const below = temporaryFolder();
const mounted = image("ext4", "-q")(below);

afterAll(() => {
  if (typeof mounted !== "string") mounted.unmount();
});

async function factsOf(path: string): Promise<FileFacts> {
  const handle = await open(path);
  try {
    return await shim.describeFile({ handle, path });
  } finally {
    await handle.close();
  }
}

test("a loop device rotates as the disk of its file does, whatever it says itself", async ({
  skip,
}) => {
  if (typeof mounted === "string") return skip(mounted);
  const path = writeDataFile(join(mounted.folder, "file"), 4096);
  const source = execFileSync("findmnt", ["-no", "SOURCE", mounted.folder], { encoding: "utf8" });
  const { isRotational } = await factsOf(join(below, "ext4.img"));
  for (const says of ["1", "0"]) {
    writeFileSync(`/sys/block/${basename(source.trim())}/queue/rotational`, says);
    expect((await factsOf(path)).isRotational).toBe(isRotational);
  }
});
