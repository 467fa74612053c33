import { execFileSync } from "node:child_process";
import { linkSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileIdentity, openFile } from "../../src/file/open-file.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const folder = temporaryFolder();
const file = join(folder, "file");
writeFileSync(file, "some bytes");

describe("openFile", () => {
  test("opens a regular file and tells its length", async () => {
    const { handle, ...opened } = await openFile(file);
    expect(opened).toMatchObject({ path: file, byteLength: 10, fd: handle.fd });
    await handle.close();
  });

  test.each([
    ["that is not there", join(folder, "absent")],
    ["below a file", join(file, "below")],
  ])("says not found of a path %s", async (_, path) => {
    await expect(openFile(path)).rejects.toMatchObject({ code: "PREFAULT_NOT_FOUND", path });
  });

  test("says not found of links in a circle", async () => {
    const path = join(folder, "circle");
    symlinkSync(path, path);
    await expect(openFile(path)).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
      errno: "ELOOP",
    });
  });

  test("says where a relative path was looked for", async () => {
    await expect(openFile("absent.gguf")).rejects.toThrow(
      `(${join(process.cwd(), "absent.gguf")})`,
    );
  });

  test("refuses a directory", async () => {
    await expect(openFile(folder)).rejects.toMatchObject({
      code: "PREFAULT_NOT_A_FILE",
      message: `${folder} is a directory, not a file`,
    });
  });

  test.skipIf(process.platform === "win32")(
    "refuses a FIFO without waiting for a writer",
    async () => {
      const path = join(folder, "fifo");
      execFileSync("mkfifo", [path]);
      await expect(openFile(path)).rejects.toMatchObject({
        code: "PREFAULT_NOT_A_FILE",
        message: `${path} is a FIFO, not a file`,
      });
    },
  );

  test.skipIf(process.platform === "win32")("refuses a socket and a device", async () => {
    const path = join(folder, "socket");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await expect(openFile(path)).rejects.toThrow("is a socket, not a file");
    server.close();
    await expect(openFile("/dev/null")).rejects.toThrow("is a device, not a file");
  });
});

describe("a file's identity", () => {
  test("is the same by hard link and symbolic link, and another file's is not", async () => {
    const hard = join(folder, "hard");
    const symbolic = join(folder, "symbolic");
    const same = join(folder, "same-bytes");
    linkSync(file, hard);
    symlinkSync(file, symbolic);
    writeFileSync(same, "some bytes");
    const identity = await fileIdentity(file);
    expect(await fileIdentity(hard)).toBe(identity);
    expect(await fileIdentity(symbolic)).toBe(identity);
    expect(await fileIdentity(same)).not.toBe(identity);
  });

  test("of a missing file is an error like opening it", async () => {
    await expect(fileIdentity(join(folder, "absent"))).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
    });
  });
});
