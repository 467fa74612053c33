import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

interface LockedPackage {
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
}

const manifest = JSON.parse(read("package.json")) as Manifest;
const lock = JSON.parse(read("package-lock.json")) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};
/** What npm would fetch: everything but the package itself. */
const fetched = Object.entries(lock.packages).filter(([path, { link }]) => path !== "" && !link);

describe("what is installed", () => {
  test("is locked by its hash, and named by no address: it comes from npm's own registry", () => {
    const loose = fetched.filter(
      ([, { resolved, integrity }]) => !integrity?.startsWith("sha512-") || resolved !== undefined,
    );
    expect(loose.map(([path]) => path)).toEqual([]);
    expect(fetched.length).toBeGreaterThan(10);
  });

  test("runs no script of ours", () => {
    const lifecycle = ["preinstall", "install", "postinstall", "prepare", "prepublish"];
    expect(lifecycle.filter((name) => name in manifest.scripts)).toEqual([]);
  });

  test("runs no script of a dependency that a user gets, but koffi's own", () => {
    const scripted = fetched.filter(([, { dev, hasInstallScript }]) => hasInstallScript && !dev);
    // It looks for the binary that npm has brought, and works without (npm install --ignore-scripts).
    expect(scripted.map(([path]) => path).filter((path) => !path.includes("koffi"))).toEqual([]);
  });

  test("has no known holes", ({ skip }) => {
    const audit = spawnSync("npm", ["audit", "--omit=dev", "--json"], {
      cwd: ROOT,
      encoding: "utf8",
      timeout: 60_000,
    });
    const answer = parse(audit.stdout);
    const total = answer?.metadata?.vulnerabilities?.total;
    if (total === undefined) return skip(`npm audit had no answer: ${audit.stderr.split("\n")[0]}`);
    expect(total).toBe(0);
  });
});

interface Audit {
  readonly metadata?: { readonly vulnerabilities?: { readonly total?: number } };
}

function parse(text: string): Audit | undefined {
  try {
    return JSON.parse(text) as Audit;
  } catch {
    return undefined;
  }
}

describe("what is published", () => {
  test("is what was built, and nothing else", () => {
    const output = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [packed] = JSON.parse(output) as [{ files: { path: string }[] }];
    const paths = packed.files.map(({ path }) => path);
    const meant =
      /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md|docs\/.*|dist\/[\w./-]+\.(js|js\.map|d\.ts|wasm))$/;
    expect(paths.filter((path) => !meant.test(path))).toEqual([]);
    expect(paths).toEqual(
      expect.arrayContaining(["package.json", "LICENSE", "dist/index.js", "dist/worker.js"]),
    );
    expect(paths.filter((path) => /test|bench|\.env|secret|token/i.test(path))).toEqual([]);
  });

  test("says where it was built: by a workflow with provenance, and no token of anyone's", () => {
    const workflow = read(".github/workflows/publish.yml");
    expect(workflow).toMatch(/id-token: write/);
    expect(workflow).toMatch(/npm publish --provenance/);
    expect(workflow).toMatch(/npm ci/);
    // Actions of others are named by the hash of what they are.
    const actions = [...workflow.matchAll(/uses: (\S+)/g)].map(([, action = ""]) => action);
    expect(actions.filter((action) => !/@[0-9a-f]{40}$/.test(action))).toEqual([]);
  });

  test("comes with a threat model", () => {
    expect(read("SECURITY.md")).toMatch(/hostile model/i);
  });
});
