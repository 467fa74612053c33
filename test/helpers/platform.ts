import { describe } from "vitest";

/** For what only Linux has: `/proc`, `/sys`, cgroups, and file names that Windows does not allow. */
export const onLinux = describe.skipIf(process.platform !== "linux");

/** For lines of a shell, in which a Windows path's backslashes and colon mean something else. */
export const onPosix = describe.skipIf(process.platform === "win32");
