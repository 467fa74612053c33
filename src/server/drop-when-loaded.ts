import { loadShim } from "../../shims/index.ts";
import { crowds, dropElsewhere } from "../hold/drop-elsewhere.ts";
import { healthUrls } from "./health.ts";
import { type Prepared, pathsOfPlans } from "./prepare.ts";
import { waitUntilReady } from "./wait-until-ready.ts";

/**
 * What went to the GPU is of no use in the page cache. Where it crowds out what stays on the CPU it is dropped, when
 * the engine has copied it. To fill before that would be in vain: the engine's reading evicts it again.
 */
export async function dropWhenLoaded(
  { moment, plans, launch }: Prepared,
  pid: number,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<void> {
  if (!crowds(plans, await loadShim())) return;
  if (moment.when === "beside") {
    const urls = launch === undefined ? [] : healthUrls(launch);
    const by = await waitUntilReady({
      urls,
      isGiven: false,
      pid,
      paths: pathsOfPlans(plans),
      signal,
    });
    if (by === "unknown") return;
  }
  await dropElsewhere(plans, log, signal);
}
