import { planCommand } from "../../launch/index.ts";
import type { ServerOptions } from "../../server/options.ts";
import type { PlannedCommand } from "../../server/prepare.ts";
import { budgetOptions } from "../budget.ts";
import { placementOf } from "../placement-flags.ts";
import { planOperands } from "../plan-operands.ts";
import type { RunArguments, RunFlags } from "./arguments.ts";

/** Plans the files that a command loads: those of its line, and those that were given. */
export async function planRun(
  { files, flags, line }: RunArguments,
  signal: AbortSignal,
): Promise<PlannedCommand> {
  const operands = flags.model === undefined ? files : [...files, flags.model];
  const context = { env: process.env, placement: placementOf(flags), operands, signal };
  return planCommand(line, context, flags.engine, (given) => planOperands(given, flags, signal));
}

/** The flags as the session's options. */
export async function serverOptions(flags: RunFlags): Promise<ServerOptions> {
  const { after, lock, gate, workers, strategy } = flags;
  return { after, lock, gate, workers, strategy, ...(await budgetOptions(flags)) };
}
