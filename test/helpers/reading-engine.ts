import { rmSync, writeFileSync } from "node:fs";
import { onTestFinished } from "vitest";
import { startProcess } from "./run-child.ts";

/** A process that reads from the disk while it is told to, and does nothing otherwise. */
export interface ReadingEngine {
  readonly pid: number;
  read(): void;
  rest(): void;
}

/** Reads around the page cache, so that each round is a read of the device. */
const SCRIPT = `
while :; do
  if [ -e "$0" ]; then dd if="$1" of=/dev/null bs=1M iflag=direct status=none; sleep 0.2
  else sleep 0.1; fi
done`;

/** For the test that calls this. @param data a file of some MiB on a disk, @param sign a path that is free */
export function readingEngine(data: string, sign: string): ReadingEngine {
  const { pid, kill, ended } = startProcess(["sh", "-c", SCRIPT, sign, data]);
  const rest = () => rmSync(sign, { force: true });
  onTestFinished(async () => {
    kill("SIGKILL");
    await ended;
    rest();
  });
  return { pid, read: () => writeFileSync(sign, ""), rest };
}

/** A process that does nothing, for the test that calls this. */
export function idleEngine(): number {
  const { pid, kill, ended } = startProcess(["sleep", "600"]);
  onTestFinished(async () => {
    kill("SIGKILL");
    await ended;
  });
  return pid;
}
