import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { processStat } from "./process-stat.ts";

/**
 * A process and all that it started, directly or not; only itself where the system has no `/proc`.
 *
 * A launcher such as `sh -c` or `numactl` may stand between us and the engine.
 *
 * @param root of the file system; tests give a folder
 */
export async function processTree(pid: number, root = "/"): Promise<number[]> {
  const names = await readdir(join(root, "proc")).catch(() => []);
  const children = new Map<number, number[]>();
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    const parent = await parentOf(name, root);
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const tree = [pid];
  for (const each of tree) tree.push(...(children.get(each) ?? []));
  return tree;
}

async function parentOf(pid: string, root: string): Promise<number | undefined> {
  const [, parent = ""] = await processStat(pid, root);
  return /^\d+$/.test(parent) ? Number(parent) : undefined;
}
