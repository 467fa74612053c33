/**
 * Fails when a test was skipped that is not in `test/expected-skips.json`. A machine that lacks
 * something a test needs is otherwise as green as one on which everything was tried.
 *
 *     tsx scripts/check-skips.ts REPORT...    the files that vitest's reporter "json" wrote
 */
import { readFileSync } from "node:fs";
import { relative, sep } from "node:path";

const EXPECTED = "test/expected-skips.json";

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

const readJson = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"));

/** By reason, the tests that are skipped for it: "FILE > FULL NAME". */
const expected = readJson(EXPECTED) as Readonly<Record<string, readonly string[]>>;
const allowed = new Set(Object.values(expected).flat());

const reports = process.argv.slice(2).map((path) => readJson(path) as Report);
const testResults = reports.flatMap((report) => report.testResults);
const skipped = testResults.flatMap(({ name, assertionResults }) =>
  assertionResults
    .filter(({ status }) => status !== "passed" && status !== "failed")
    .map(({ fullName }) => `${relative(".", name).split(sep).join("/")} > ${fullName}`),
);
const unexpected = [...new Set(skipped)].filter((test) => !allowed.has(test));

console.log(`${skipped.length} tests were skipped, ${unexpected.length} of them unexpectedly`);
if (unexpected.length > 0) {
  console.error(
    `These are not in ${EXPECTED}. Provide what they need (they say why they skip), or list them ` +
      `there with the reason:\n${unexpected.map((test) => `  ${test}`).join("\n")}`,
  );
  process.exitCode = 1;
}
