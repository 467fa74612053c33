import { loadShim, type MappedFile } from "../../shims/index.ts";
import { describeValue, errnoOf } from "../describe.ts";
import { PrefaultError } from "../errors.ts";

/**
 * The files that a process has mapped.
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND` without such a process, `PREFAULT_PERMISSION` for another
 *   user's, `PREFAULT_UNSUPPORTED` where the system does not tell, `PREFAULT_INVALID_OPTION` for what is no
 *   number of a process
 */
export async function filesMappedBy(pid: number): Promise<readonly MappedFile[]> {
  expectPid(pid);
  const shim = await loadShim();
  const found = await shim.mappedFiles(pid).catch((error: unknown) => {
    throw processError(pid, error);
  });
  if (found !== null) return found;
  const message = `the ${shim.name} shim cannot tell what process ${pid} has mapped: only Linux does`;
  throw new PrefaultError("PREFAULT_UNSUPPORTED", message);
}

function expectPid(pid: number): void {
  if (Number.isSafeInteger(pid) && pid >= 1) return;
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `pid must be the number of a process, got ${describeValue(pid)}`,
  );
}

function processError(pid: number, cause: unknown): unknown {
  const errno = errnoOf(cause);
  switch (errno) {
    case "ENOENT":
    case "ESRCH":
      return new PrefaultError("PREFAULT_NOT_FOUND", `there is no process ${pid}`, {
        errno,
        cause,
      });
    case "EACCES":
    case "EPERM":
      return new PrefaultError(
        "PREFAULT_PERMISSION",
        `process ${pid} may not be looked at: Linux tells what it has mapped to its own user and to root`,
        { errno, cause },
      );
    default:
      return cause;
  }
}
