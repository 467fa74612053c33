import { setImmediate as turn } from "node:timers/promises";
import type { AddressRange } from "./shim.ts";

/** Cuts ranges of memory into steps, and lets the event loop run after each `stepBytes`. */
export async function* inSteps(
  ranges: Iterable<AddressRange>,
  stepBytes: number,
): AsyncGenerator<AddressRange> {
  let sinceTurn = 0;
  for (const { address, byteLength } of ranges) {
    for (let done = 0; done < byteLength; done += stepBytes) {
      const step = Math.min(stepBytes, byteLength - done);
      if (sinceTurn + step > stepBytes) {
        await turn();
        sinceTurn = 0;
      }
      sinceTurn += step;
      yield { address: address + BigInt(done), byteLength: step };
    }
  }
}
