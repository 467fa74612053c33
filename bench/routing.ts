/**
 * Measures how a mixture of experts routes in llama.cpp, prints it as JSON, and writes what a profile
 * of other prompts says, as JSON and as CSV:
 *
 *     npx tsx bench/routing.ts MODEL [--tokens N] [--engine DIR] [--profile NAME]
 *
 * The profile goes to NAME.json and NAME.csv. The package must be built.
 */
import { parseArgs } from "node:util";
import { openModel } from "../src/model/open-model.ts";
import { countedProfile, writeCsvProfile, writeJsonProfile } from "./engine/profile.ts";
import { measureRouting } from "./engine/routing-of-model.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: "string", default: "40" },
    engine: { type: "string", default: "build/engine" },
    profile: { type: "string" },
  },
});
const [path] = positionals;
if (path === undefined) throw new Error("usage: routing.ts MODEL [options]");
const { routing, profile } = await measureRouting(path, values.engine, Number(values.tokens));
console.log(JSON.stringify(routing, null, 1));
if (values.profile !== undefined) {
  const counted = countedProfile(await openModel(path), profile.weights, profile.samples);
  writeJsonProfile(`${values.profile}.json`, counted);
  writeCsvProfile(`${values.profile}.csv`, counted);
}
