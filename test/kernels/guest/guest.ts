import type * as Package from "prefault";
import type { Kernel } from "../kernels.ts";

/** What a case runs on. */
export interface Guest {
  readonly kernel: Kernel;
  /** The package as npm installed it. */
  readonly prefault: typeof Package;
}

export interface GuestCase {
  readonly name: string;
  /** More than two minutes, where it needs that. */
  readonly seconds?: number;
  /** @returns what is worth a look, for the log */
  run(guest: Guest): Promise<unknown>;
}

/** Thrown where a kernel lacks what the case is about. */
export class Skip extends Error {}

/** Skips what is the package's own doing, and takes long, on most of the kernels. */
export function onlyOnSome({ wholeSuite }: Kernel): void {
  if (!wholeSuite) throw new Skip("it runs on other kernels of the table, to save time");
}
