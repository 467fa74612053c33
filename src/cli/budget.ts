import { loadShim } from "../../shims/index.ts";
import { availableBytes } from "../memory/memory.ts";
import type { PrefaultOptions } from "../options.ts";
import type { Flags } from "./flags.ts";

/** The flags of a budget as the library's options; a percentage is of what is available now. */
export async function budgetOptions({
  budget,
  reserve,
  profile,
}: Flags): Promise<Pick<PrefaultOptions, "budget" | "reserveBytes" | "profile">> {
  return {
    budget: typeof budget === "object" ? await shareOf(budget.share) : budget,
    reserveBytes: reserve,
    profile,
  };
}

async function shareOf(share: number): Promise<number> {
  const shim = await loadShim();
  return Math.floor(share * availableBytes(0, shim.memory()));
}
