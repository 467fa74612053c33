import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { listensAt } from "../../../src/server/listening.ts";
import { madeUpRoot } from "../../helpers/made-up-root.ts";
import { onLinux } from "../../helpers/platform.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const socket = (local: string, state: string, inode: number) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0\n`;
const at = (url: string) => ({ url: new URL(url) });

onLinux("whose server it is", () => {
  /** Process 5 started 6, which holds a socket; 9 is somebody else's. */
  const rootWith = (net: Readonly<Record<string, string>>) =>
    madeUpRoot(
      {
        "proc/5/stat": "5 (sh) S 1 1 1 0 -1\n",
        "proc/6/stat": "6 (llama-server) S 5 1 1 0 -1\n",
        "proc/9/stat": "9 (other) S 1 1 1 0 -1\n",
        ...net,
      },
      { "proc/6/fd/3": "/dev/null", "proc/6/fd/7": "socket:[70]", "proc/9/fd/3": "socket:[90]" },
    );

  test("a process that it started listens there", async () => {
    const root = rootWith({ "proc/5/net/tcp": HEAD + socket("0100007F:1F90", "0A", 70) });
    expect(await listensAt(at("http://127.0.0.1:8080/health"), 5, root)).toBe(true);
    expect(await listensAt(at("http://127.0.0.1:8081/health"), 5, root)).toBe(false);
  });

  test.each([
    ["http://127.0.0.1/health", "00000000:0050"],
    ["https://127.0.0.1/health", "00000000:01BB"],
    ["http://127.0.0.1:99/health", "00000000:0063"],
  ])("%s is asked at port %s", async (url, local) => {
    const root = rootWith({ "proc/5/net/tcp": HEAD + socket(local, "0A", 70) });
    expect(await listensAt(at(url), 5, root)).toBe(true);
  });

  test("it listens by IPv6", async () => {
    const any = "00000000000000000000000000000000:1F90";
    const root = rootWith({ "proc/5/net/tcp6": HEAD + socket(any, "0A", 70) });
    expect(await listensAt(at("http://[::1]:8080/health"), 5, root)).toBe(true);
  });

  test("it listens at a path", async () => {
    const head = "Num       RefCount Protocol Flags    Type St Inode Path\n";
    const line = "0000000000000000: 00000002 00000000 00010000 0001 01    70 /run/llama.sock\n";
    const root = rootWith({ "proc/5/net/unix": head + line });
    const url = new URL("http://localhost/health");
    expect(await listensAt({ url, socketPath: "/run/llama.sock" }, 5, root)).toBe(true);
    expect(await listensAt({ url, socketPath: "/run/other.sock" }, 5, root)).toBe(false);
  });

  test.each([
    ["another program listens there", socket("0100007F:1F90", "0A", 90)],
    ["it has a connection to it, and does not listen", socket("0100007F:1F90", "01", 70)],
    ["nobody does", ""],
  ])("%s", async (_, line) => {
    const root = rootWith({ "proc/5/net/tcp": HEAD + line });
    expect(await listensAt(at("http://127.0.0.1:8080/health"), 5, root)).toBe(false);
  });

  test("cannot be told without /proc", async () => {
    expect(await listensAt(at("http://127.0.0.1:8080/"), 5, "/nowhere")).toBe(false);
  });

  describe("on this system", () => {
    const listens = async (where: number | string) => {
      const server = createServer();
      onTestFinished(() => void server.close());
      await new Promise<void>((resolve) => server.listen(where, () => resolve()));
      return server.address();
    };

    test("this process listens at a port of its own", async () => {
      const address = await listens(0);
      const port = typeof address === "object" ? address?.port : undefined;
      expect(await listensAt(at(`http://127.0.0.1:${port}/health`), process.pid)).toBe(true);
      const child = spawn("sleep", ["60"]);
      onTestFinished(() => void child.kill());
      expect(await listensAt(at(`http://127.0.0.1:${port}/health`), child.pid ?? 0)).toBe(false);
    });

    test("this process listens at a path", async () => {
      const socketPath = join(temporaryFolder(), "server.sock");
      await listens(socketPath);
      const url = new URL("http://localhost/health");
      expect(await listensAt({ url, socketPath }, process.pid)).toBe(true);
    });
  });
});
