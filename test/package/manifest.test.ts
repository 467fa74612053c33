import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { beforeAll, describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { consumerProject, packedTarball, TSC } from "./packed.ts";
import { run, runNode, runOrThrow } from "./run.ts";

let project: string;
let installed: string;
beforeAll(async () => {
  project = await consumerProject();
  installed = join(project, "node_modules/prefault");
});

describe("the tarball", () => {
  it("holds what was built, and nothing else", () => {
    const paths = readdirSync(installed, { recursive: true, encoding: "utf8" });
    const top = new Set(paths.map((path) => path.split("/")[0]));
    expect([...top].sort()).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "SECURITY.md",
      "dist",
      "package.json",
    ]);
    for (const path of paths) {
      expect(path).not.toMatch(/\.(test|spec)\.|node_modules|(?<!\.d)\.ts$/);
    }
  });

  it("says of no source map where it was built", () => {
    const dist = join(installed, "dist");
    for (const name of readdirSync(dist).filter((name) => name.endsWith(".map"))) {
      const { sources } = JSON.parse(readFileSync(join(dist, name), "utf8"));
      for (const source of sources) expect(source).toMatch(/^\.\.\/(src|shims)\//);
    }
  });

  it("is clean to publint", async () => {
    const tarball = readFileSync(await packedTarball());
    const { messages, pkg } = await publint({
      pack: {
        tarball: tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.byteLength),
      },
      strict: true,
    });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  it("has right types by attw, for those who import it", async () => {
    const analysed = await checkPackage(
      createPackageFromTarballData(readFileSync(await packedTarball())),
    );
    if (!analysed.types) throw new Error("attw found no types");
    // The package is ESM only and says so by exports: for the resolution of Node 10, which knows no
    // exports, and for require() before Node 22 there is nothing to be right about.
    const reach = new Set(["node16-esm", "bundler"]);
    const problems = analysed.problems.filter(
      (problem) => !("resolutionKind" in problem) || reach.has(problem.resolutionKind),
    );
    expect(problems).toEqual([]);
    expect(Object.keys(analysed.entrypoints).sort()).toEqual(Object.keys(manifest.exports).sort());
  });
});

describe("exports", () => {
  it("lead to files, with types for each that is code", () => {
    for (const target of Object.values(manifest.exports)) {
      const files = typeof target === "string" ? [target] : [target.types, target.default];
      for (const file of files) expect(existsSync(join(installed, file)), file).toBe(true);
    }
  });

  it("can each be imported, and by require where Node can", async () => {
    const names = Object.keys(manifest.exports).map((name) => name.replace(/^\./, "prefault"));
    const script = `
      for (const name of ${JSON.stringify(names)}) {
        const options = name.endsWith(".json") ? { with: { type: "json" } } : undefined;
        const module = await import(name, options);
        console.log(name, Object.keys(module).length > 0);
      }`;
    const { stdout, code } = await runNode(["--no-warnings", "--input-type=module", "-e", script], {
      cwd: project,
    });
    expect(stdout.trim().split("\n")).toEqual(names.map((name) => `${name} true`));
    expect(code).toBe(0);
  });

  it("hide everything else", async () => {
    const script = `import("prefault/dist/index.js").catch(({ code }) => console.log(code))`;
    const { stdout } = await runNode(["--input-type=module", "-e", script], { cwd: project });
    expect(stdout).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED\n");
  });
});

describe("a TypeScript consumer", () => {
  const SOURCE = `
    import {
      evict, findMappings, mapModel, openModel, planPass, prefault, PrefaultError, residency,
      shouldRun, startPrefault,
      type Gate, type PrefaultErrorCode, type PrefaultReport, type Target,
    } from "prefault";
    import worker from "prefault/worker";
    import manifest from "prefault/package.json" with { type: "json" };

    const gate: Gate = "fits-in-ram";
    const model = await openModel("model.gguf");
    const plan = planPass(model, { gpuLayers: 20, cpuMoe: true });
    const target: Target = plan;
    const report: PrefaultReport = await prefault(target, {
      gate,
      signal: AbortSignal.timeout(1000),
      onProgress: ({ bytesDone, bytesTotal }) => void (bytesDone / bytesTotal),
    });
    const code: PrefaultErrorCode | undefined = report.error?.code;
    const before: number | null = report.residentBytesBefore;
    const session = startPrefault([{ path: "model.gguf", offset: 0, byteLength: 4096 }]);
    for await (const { name, resident } of session) void [name, resident];
    const mapped = await mapModel("model.gguf");
    const [view] = mapped.tensor("blk.0.attn_q.weight").views;
    const bytes: Uint8Array | undefined = view;
    const { tensors } = await residency("model.gguf");
    // @ts-expect-error no such gate
    await prefault("model.gguf", { gate: "sometimes" });
    // @ts-expect-error residency may be unknown
    const known: number = tensors[0]?.residentBytes;
    export default [
      code, before, bytes, known, worker, manifest.version, evict, findMappings, shouldRun,
      PrefaultError.is(report.error),
    ];
  `;

  it.each([
    ["nodenext", { module: "nodenext", moduleResolution: "nodenext" }],
    ["bundler", { module: "esnext", moduleResolution: "bundler" }],
  ])("compiles under %s, every declaration checked", async (name, settings) => {
    writeFileSync(join(project, `consumer-${name}.ts`), SOURCE);
    const config = join(project, `tsconfig.${name}.json`);
    const compilerOptions = {
      ...settings,
      target: "es2022",
      // As in a project that is not for browsers: no "dom".
      lib: ["es2023", "esnext.disposable"],
      types: ["node"],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      noEmit: true,
    };
    writeFileSync(config, JSON.stringify({ compilerOptions, files: [`consumer-${name}.ts`] }));
    const { stdout, code } = await run(process.execPath, [TSC, "-p", config], { cwd: project });
    expect(stdout).toBe("");
    expect(code).toBe(0);
  });
});

describe("the installed command", () => {
  it("is linked, runs, and knows its version", async () => {
    const command = join(project, "node_modules/.bin/prefault");
    expect(await runOrThrow(command, ["--version"], { cwd: project })).toBe(
      `${manifest.version}\n`,
    );
  });
});
