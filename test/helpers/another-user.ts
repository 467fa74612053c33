import { runProcess } from "./run-child.ts";

/** Owns nothing, and is in no group: `nobody` on every Linux. */
export const NOBODY = 65_534;

/** Reads what a process that imports the package has to read, without a line of the package. */
const SCRIPT = `
  const { accessSync, constants } = require("node:fs");
  for (const path of ["dist/index.js", "node_modules/koffi/package.json", "package.json"]) {
    accessSync(path, constants.R_OK);
  }
`;

/** Why a test cannot run the package as `nobody`; `undefined` when it can. */
export async function whyNotAsNobody(): Promise<string | undefined> {
  if (process.platform !== "linux") return "asks what Linux tells to whom";
  if (process.getuid?.() !== 0) return "only root becomes another user";
  const { code } = await runProcess([process.execPath, "-e", SCRIPT], { uid: NOBODY }).catch(
    () => ({ code: null }),
  );
  return code === 0 ? undefined : "another user may not read this checkout";
}
