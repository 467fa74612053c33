import { readFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * What `/proc/PID/stat` says after the name of a process, which may have spaces and parentheses: the state,
 * which is field 3, and what follows (proc_pid_stat(5)). Empty for a process that there is not.
 *
 * @param root of the file system; tests give a folder
 */
export async function processStat(pid: number | string, root = "/"): Promise<readonly string[]> {
  const text = await readFile(join(root, "proc", `${pid}`, "stat"), "utf8").catch(() => "");
  return text === "" ? [] : text.slice(text.lastIndexOf(")") + 2).split(" ");
}
