/**
 * Runs the suites on a Node on which vitest does not run, and writes what became of them to a file:
 *
 *     node runner.js OUTCOMES FOLDER shim|shim-without-lock
 *     node runner.js OUTCOMES FOLDER package linux|windows|portable PATH-OF-THE-PACKAGE
 *     node runner.js OUTCOMES FOLDER exit
 */
import { chmodSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { type Outcome, runCases } from "./case.ts";

/** What the runner writes. */
export interface Run {
  readonly node: string;
  readonly platform: string;
  /** The warnings of this thread. Those of others would be on stderr. */
  readonly warnings: readonly string[];
  readonly outcomes: readonly Outcome[];
}

const [outcomesFile = "", folder = "", suite = "", shim = "", path = ""] = process.argv.slice(2);
const warnings: string[] = [];
process.on("warning", (warning) => warnings.push(`${"code" in warning ? warning.code : ""}`));

if (suite === "exit") await exitBesideAThread();
const outcomes = suite === "package" ? await runPackageSuite() : await runShimSuite();
const { version: node, platform } = process;
writeFileSync(outcomesFile, JSON.stringify({ node, platform, warnings, outcomes } satisfies Run));

/** A thread that never comes back must not keep the process. */
async function exitBesideAThread(): Promise<never> {
  const wait = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)";
  new Worker(wait, { eval: true });
  (await loadedShim()).exit(7);
  throw new Error("still here");
}

async function runShimSuite(): Promise<Outcome[]> {
  const { shimSuite } = await import("./shim-suite.ts");
  if (suite === "shim") return runCases(shimSuite, { shim: await loadedShim(), folder });
  const { bindKernel32 } = await import("../../shims/kernel32.ts");
  const { windowsShim } = await import("../../shims/windows.ts");
  return runCases(shimSuite, {
    shim: windowsShim({ ...bindKernel32(), VirtualLock: () => 0 }),
    folder,
  });
}

async function runPackageSuite(): Promise<Outcome[]> {
  if (shim !== "linux" && shim !== "windows" && shim !== "portable") throw new Error(shim);
  const { packageSuite } = await import("./package-suite.ts");
  const prefault = await import(pathToFileURL(path).href);
  // A second copy of the shims would warn a second time that koffi is missing.
  const canPopulate = shim !== "portable" && (await loadedShim()).canPopulate;
  return runCases(packageSuite, {
    prefault,
    folder,
    shim,
    canPopulate,
    deny: process.platform === "win32" ? keepForItself : forbid,
  });
}

async function loadedShim() {
  const { loadShim } = await import("../../shims/index.ts");
  return loadShim();
}

/** Windows: opened by someone who shares it with nobody (fileapi.h, `dwShareMode` 0). */
async function keepForItself(file: string): Promise<(() => void) | null> {
  const { default: koffi } = await import("koffi");
  const kernel32 = koffi.load("kernel32.dll");
  const [GENERIC_READ, OPEN_EXISTING] = [0x80000000, 3];
  const open = kernel32.func(
    "void *CreateFileW(const char16_t *name, uint32_t access, uint32_t share, void *security, uint32_t how, uint32_t flags, void *template)",
  );
  const close = kernel32.func("int CloseHandle(void *handle)");
  const handle = open(file, GENERIC_READ, 0, null, OPEN_EXISTING, 0, null);
  return () => close(handle);
}

/** Nothing is forbidden to root. */
async function forbid(file: string): Promise<(() => void) | null> {
  if (process.geteuid?.() === 0) return null;
  chmodSync(file, 0);
  return () => chmodSync(file, 0o600);
}
