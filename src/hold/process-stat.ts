import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** {@link fieldsOf} of a process. @param root of the file system; tests give a folder */
export async function processStat(pid: number | string, root = "/"): Promise<readonly string[]> {
  const text = await readFile(join(root, "proc", `${pid}`, "stat"), "utf8").catch(() => "");
  return fieldsOf(text);
}

/**
 * What `/proc/PID/stat` says after the name of a process, which may have spaces and parentheses: the state,
 * which is field 3, and what follows (proc_pid_stat(5)).
 *
 * @param text of the file; empty for a process that there is not
 */
export function fieldsOf(text: string): readonly string[] {
  return text === "" ? [] : text.slice(text.lastIndexOf(")") + 2).split(" ");
}
