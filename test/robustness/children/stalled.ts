/** Aborts a sweep of a device that does not answer, and then has nothing else to do. */
import { prefault } from "prefault";

interface Argument {
  readonly path: string;
  readonly exits: boolean;
}

const { path, exits } = JSON.parse(process.argv[2] ?? "") as Argument;
process.exitCode = 7;
const { error } = await prefault([{ path }], {
  log() {},
  workers: 2,
  signal: AbortSignal.timeout(300),
});
if (error?.code !== "PREFAULT_ABORTED") process.exitCode = 1;
if (exits) process.exit();
