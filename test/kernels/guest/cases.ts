import { fillCases } from "./fill-cases.ts";
import type { GuestCase } from "./guest.ts";
import { kernelCases } from "./kernel-cases.ts";

/** In the order they run in. */
export const cases: readonly GuestCase[] = [...kernelCases, ...fillCases];
