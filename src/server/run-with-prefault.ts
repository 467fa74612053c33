import type { ChildProcess, SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { openModels } from "../model/open-models.ts";
import { type LlamaPlacement, type PassName, planEach, planPass } from "../passes/index.ts";
import type { ServerOptions } from "./options.ts";
import type { ServerSession } from "./session.ts";

export interface RunOptions extends ServerOptions {
  /** For `node:child_process`. @defaultValue the streams of this process */
  readonly spawn?: SpawnOptions | undefined;
  /** Replaces what the command line says of the placement, field by field. */
  readonly placement?: LlamaPlacement | undefined;
  /** Files that replace the model of the line, for a command that does not name it. */
  readonly files?: readonly string[] | undefined;
  /** Whose rules decide what stays on the CPU. @defaultValue those of the command's own engine */
  readonly engine?: PassName | undefined;
}

/** A command that runs, and what is warmed beside it. */
export interface RunningCommand {
  readonly child: ChildProcess;
  readonly session: ServerSession;
}

/**
 * Starts a server, and makes what of its model stays on the CPU resident at the right moment: at
 * once where all of it fits in memory, else when the server has read its model. The session ends with the child.
 *
 * ```ts
 * const { child, session } = await runWithPrefault("llama-server", ["-m", path, "-ngl", "20"]);
 * const { residentBytesAfter } = await session.report;
 * ```
 *
 * @throws what `spawn` fails with, such as `ENOENT`; nothing that goes wrong with warming
 */
export async function runWithPrefault(
  command: string,
  args: readonly string[],
  { spawn: how = { stdio: "inherit" }, placement, files = [], engine, ...options }: RunOptions = {},
): Promise<RunningCommand> {
  // Loaded when it is used: a third of what the library's import would take otherwise. All of it before the start,
  // so that the caller misses no event of the child.
  const [{ spawn }, { planCommand }, { warmBeside }] = await Promise.all([
    import("node:child_process"),
    import("../launch/index.ts"),
    import("./session.ts"),
  ]);
  const child = spawn(command, args, how);
  await once(child, "spawn");
  const env = how.env ?? process.env;
  const session = warmBeside(
    {
      pid: child.pid ?? -1,
      plan(signal) {
        const context = { env, ...(placement && { placement }), operands: files, signal };
        return planCommand([command, ...args], context, engine, async (given) => {
          const opened = await openModels(given, { signal });
          return planEach(opened, async (model) => planPass(model, placement, engine));
        });
      },
    },
    options,
  );
  child.once("exit", () => void session.close());
  return { child, session };
}
