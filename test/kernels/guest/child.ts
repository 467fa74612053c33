/** Prefaults a file, and prints the report: `node child.mjs FILE OPTIONS`. */
import { prefault } from "prefault";

const [path = "", options = "{}"] = process.argv.slice(2);
const report = await prefault([{ path }], { log() {}, ...JSON.parse(options) });
const { error } = report;
const { code, errno, offset, message } = error ?? {};
console.log(
  JSON.stringify({ ...report, ...(error && { error: { code, errno, offset, message } }) }),
);
