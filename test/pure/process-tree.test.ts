import { expect, test } from "vitest";
import { processTree } from "../../src/hold/process-tree.ts";
import { madeUpRoot } from "../helpers/made-up-root.ts";
import { onLinux } from "../helpers/platform.ts";

const stat = (pid: number, name: string, parent: number) =>
  `${pid} (${name}) S ${parent} 1 1 0 -1\n`;

onLinux("a process tree", () => {
  test("is a process and all that it started, the nearest first", async () => {
    const root = madeUpRoot({
      "proc/1/stat": stat(1, "systemd", 0),
      "proc/70/stat": stat(70, "sh", 1),
      "proc/20/stat": stat(20, "numactl", 70),
      "proc/90/stat": stat(90, "llama-server", 20),
      "proc/91/stat": stat(91, "beside", 70),
      "proc/99/stat": stat(99, "another", 1),
      "proc/self/stat": stat(90, "not a number", 70),
      "proc/meminfo": "MemFree: 1 kB\n",
    });
    expect(await processTree(70, root)).toEqual([70, 20, 91, 90]);
    expect(await processTree(99, root)).toEqual([99]);
  });

  test.each(["a b", "a) S 5 (b", ") R 1 ", "(((", "a\nb"])(
    "is found through a process whose name is %j",
    async (name) => {
      const root = madeUpRoot({
        "proc/5/stat": stat(5, "sh", 1),
        "proc/6/stat": stat(6, name, 5),
        "proc/7/stat": stat(7, "child", 6),
      });
      expect(await processTree(5, root)).toEqual([5, 6, 7]);
    },
  );

  test("leaves out processes that end meanwhile, and is the process alone without /proc", async () => {
    const root = madeUpRoot({ "proc/6/stat": "", "proc/7/other": "" });
    expect(await processTree(5, root)).toEqual([5]);
    expect(await processTree(5, `${root}/nowhere`)).toEqual([5]);
  });
});
