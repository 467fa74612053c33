/**
 * Installs a real llama.cpp, inside node-llama-cpp, into `build/engine/` for the tests of
 * `test/engine/`. Not among the devDependencies: with all its prebuilt binaries it weighs more than
 * 700 MB, and everything but those tests does without it.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = "build/engine";
/** Its build of llama.cpp is the one whose log lines and structures `test/engine/` reads. */
const VERSION = "3.22.1";
/** The Vulkan build runs on a software GPU. CUDA is left out: 600 MB, and it needs the hardware. */
const PACKAGES = [
  "node-llama-cpp",
  "@node-llama-cpp/linux-x64",
  "@node-llama-cpp/linux-x64-vulkan",
];

function isInstalled(name: string): boolean {
  const manifest = join(FOLDER, "node_modules", name, "package.json");
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version === VERSION;
}

if (process.platform !== "linux" || process.arch !== "x64") {
  console.log("the engine tests run on Linux x64 only: nothing installed");
} else if (PACKAGES.every(isInstalled)) {
  console.log(`node-llama-cpp ${VERSION} is in ${FOLDER}`);
} else {
  mkdirSync(FOLDER, { recursive: true });
  const dependencies = Object.fromEntries(PACKAGES.map((name) => [name, VERSION]));
  writeFileSync(join(FOLDER, "package.json"), JSON.stringify({ private: true, dependencies }));
  execFileSync(
    "npm",
    // All other binaries are optional dependencies; the script would look for them and download.
    ["install", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"],
    { cwd: FOLDER, stdio: "inherit" },
  );
}
