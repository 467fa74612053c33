import { setImmediate as turn } from "node:timers/promises";
import { type Kernel32, lastWindowsError } from "./kernel32.ts";
import type { MemoryLock, View } from "./shim.ts";
import { SystemError } from "./system-error.ts";
import { LOCKED_BYTES, type WorkingSet } from "./working-set.ts";

/** Locks parts of a view. The working set grows with each, since it bounds what can be locked. */
export function windowsLock(
  kernel32: Kernel32,
  workingSet: WorkingSet,
  { address, close }: View,
): MemoryLock {
  let grownBytes = 0;
  let isClosed = false;
  return {
    async lock(offset, byteLength) {
      if (workingSet.grow(byteLength)) grownBytes += byteLength;
      for (let done = 0; done < byteLength && !isClosed; done += LOCKED_BYTES) {
        const bytes = Math.min(LOCKED_BYTES, byteLength - done);
        if (kernel32.VirtualLock(address + BigInt(offset + done), bytes) === 0) {
          throw new SystemError(`VirtualLock of ${bytes} bytes`, lastWindowsError(kernel32));
        }
        await turn();
      }
    },
    // Unmapping unlocks.
    close() {
      isClosed = true;
      close();
      workingSet.grow(-grownBytes);
    },
  };
}
