import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { processTree } from "../hold/process-tree.ts";
import type { HealthUrl } from "./health.ts";

/** State of a socket in `/proc/net/tcp` that waits for connections (`TCP_LISTEN`, include/net/tcp_states.h). */
const LISTENS = "0A";

/**
 * Whether a process, or one that it started, listens where a URL leads to. Its own network is looked at, which
 * may be that of a container. Linux only.
 *
 * @param root of the file system; tests give a folder
 * @returns `false` also where the system does not tell
 */
export async function listensAt(at: HealthUrl, pid: number, root = "/"): Promise<boolean> {
  const sockets = await listening(at, join(root, "proc", `${pid}`, "net"));
  if (sockets.size === 0) return false;
  for (const each of await processTree(pid, root)) {
    const folder = join(root, "proc", `${each}`, "fd");
    for (const descriptor of await readdir(folder).catch(() => [])) {
      const link = await readlink(join(folder, descriptor)).catch(() => "");
      const [, socket = ""] = /^socket:\[(\d+)\]$/.exec(link) ?? [];
      if (sockets.has(socket)) return true;
    }
  }
  return false;
}

/** The inodes of the sockets that listen at a URL's port, or at its path. */
async function listening({ url, socketPath }: HealthUrl, net: string): Promise<Set<string>> {
  const lines = async (name: string) => {
    const text = await readFile(join(net, name), "utf8").catch(() => "");
    return text.split("\n").map((line) => line.trim().split(/\s+/));
  };
  if (socketPath !== undefined) {
    const found = (await lines("unix")).filter((fields) => fields[7] === socketPath);
    return new Set(found.map((fields) => fields[6] ?? ""));
  }
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const all = [...(await lines("tcp")), ...(await lines("tcp6"))];
  const found = all.filter(
    ([, local = "", , state]) => state === LISTENS && local.endsWith(suffix),
  );
  return new Set(found.map((fields) => fields[9] ?? ""));
}
