import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { transform } from "esbuild";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { consumerProject, npmInstall, packedTarball, TSC } from "../package/packed.ts";
import { type Ended, ROOT, run, runNode, runOrThrow } from "../package/run.ts";
import { differences, type Snippet, sessionsOf, snippetsOf } from "./snippets.ts";

const GUIDES = readdirSync(join(ROOT, "docs/guides"))
  .filter((name) => name.endsWith(".md"))
  .map((name) => `docs/guides/${name}`);
const PAGES = ["README.md", ...GUIDES];
const ALL = PAGES.flatMap(snippetsOf);
const of = (...languages: string[]) => ALL.filter(({ language }) => languages.includes(language));

/** Where the engine is that `scripts/install-engine.ts` installs. */
const ENGINE = join(ROOT, "build/engine/node_modules/node-llama-cpp");
const hasEngine = existsSync(ENGINE);
const isEngine = ({ info }: Snippet) => info === "engine";

/** A reader's folder: the package installed, a model in it, and nothing else. */
let folder: string;
let tarball: string;
beforeAll(async () => {
  tarball = await packedTarball();
  const project = await consumerProject();
  folder = join(inject("packageFolder"), "reader");
  mkdirSync(folder);
  cpSync(join(project, "node_modules"), join(folder, "node_modules"), {
    recursive: true,
    verbatimSymlinks: true,
  });
  cpSync(join(project, "package.json"), join(folder, "package.json"));
  if (hasEngine) symlinkSync(ENGINE, join(folder, "node_modules/node-llama-cpp"));
  const MIB = 1024 ** 2;
  const model = { kind: "moe", path: join(folder, "model.gguf") } as const;
  await writeSyntheticModel({ ...model, layers: 24, targetBytes: 64 * MIB });
  // The README's. Without contents: its plan is what counts.
  const moe = { kind: "moe", path: join(folder, "moe.gguf"), contents: "hole" } as const;
  await writeSyntheticModel({ ...moe, targetBytes: 1024 * MIB });
  writeFileSync(join(folder, "huge.bin"), "");
  truncateSync(join(folder, "huge.bin"), 500 * 1024 ** 3);
});

const env = () => ({ PATH: `${join(folder, "node_modules/.bin")}:${process.env["PATH"]}` });

/** A reader has the package from the registry; here it is the tarball that would be published. */
function shell(commands: string): Promise<Ended> {
  const here = commands.replace(/\bnpm install prefault\b/g, `npm install "${tarball}"`);
  return run("sh", ["-euc", `( ${here}\n ) 2>&1`], { cwd: folder, env: env() });
}

describe("TypeScript on the pages", () => {
  const blocks = of("ts").filter(({ info }) => !info.startsWith("from="));
  const names = new Map(blocks.map((block, at) => [block, `snippet-${at}`]));

  it("compiles, strictly", async () => {
    const checked = blocks.filter((block) => hasEngine || !isEngine(block));
    for (const block of checked) {
      writeFileSync(join(folder, `${names.get(block)}.ts`), `${block.text}\nexport {};\n`);
    }
    const compilerOptions = {
      module: "nodenext",
      target: "es2022",
      lib: ["es2023", "esnext.disposable"],
      types: ["node"],
      strict: true,
      skipLibCheck: true,
      noEmit: true,
    };
    const files = checked.map((block) => `${names.get(block)}.ts`);
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    const { stdout } = await runNode([TSC, "-p", "."], { cwd: folder });
    const where = stdout.replace(/snippet-(\d+)\.ts/g, (_, at) => blocks[Number(at)]?.where ?? at);
    expect(where).toBe("");
  });

  const runs = blocks.map((block) => ({ where: block.where, block }));
  it.for(runs)("$where runs", async ({ block }, { skip }) => {
    if (isEngine(block) && !hasEngine) skip("node-llama-cpp is not in build/engine");
    // Lowered for Node 20, which has no `await using`.
    const { code: script } = await transform(block.text, {
      loader: "ts",
      format: "esm",
      target: "node20",
    });
    const name = `${names.get(block)}.mjs`;
    writeFileSync(join(folder, name), script);
    const { code, stdout, stderr } = await runNode([name], { cwd: folder });
    expect(stderr.replace(/^\[.*\] Pre-fault.*\n/gm, "")).toBe("");
    expect(code).toBe(0);
    for (const expected of commentsOf(block)) expect(stdout).toContain(expected);
  });

  it("is quoted from files that have it", () => {
    const quoted = ALL.filter(({ info }) => info.startsWith("from="));
    expect(quoted.length).toBeGreaterThan(3);
    for (const { info, text, where } of quoted) {
      const file = readFileSync(join(ROOT, info.slice("from=".length)), "utf8");
      expect(unindented(file).includes(unindented(text)), where).toBe(true);
    }
  });
});

const unindented = (text: string) => text.replace(/^ +/gm, "");

/** What a `console.log(…); // …` says it prints, where that is a literal. */
function commentsOf({ text }: Snippet): string[] {
  return [...text.matchAll(/console\.log\(.*\); \/\/ (true|false .*|PREFAULT_\w+)$/gm)].map(
    ([, printed = ""]) => printed,
  );
}

describe("commands on the pages", () => {
  // What the README says to run in the repository is what runs these tests.
  const blocks = of("sh").filter(({ text }) => !/^npm ci/m.test(text));
  it.each(blocks.map((block) => [block.where, block] as const))("%s run", async (_, block) => {
    const { code, stdout } = await shell(block.text);
    expect({ code, stdout }).toMatchObject({ code: 0 });
  });

  const sessions = of("console").flatMap((block) =>
    sessionsOf(block).map((session) => [`${block.where} ${session.command}`, session] as const),
  );
  it.each(sessions)("%s prints what is shown", async (_, { command, shown }) => {
    const { code, stdout } = await shell(command);
    expect({ code, stdout }).toMatchObject({ code: 0 });
    expect(differences(shown, stdout), stdout).toEqual([]);
  });
});

describe("the pages", () => {
  it("have no block that nobody checks", () => {
    const unchecked = ALL.filter(
      ({ language, info }) =>
        !["ts", "sh", "console", "text", ""].includes(language) && !info.startsWith("from="),
    );
    expect(unchecked.map(({ where }) => where)).toEqual([]);
  });

  it("lead to pages and headings that exist", () => {
    const anchors = (page: string) =>
      [...readFileSync(join(ROOT, page), "utf8").matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
        title
          .toLowerCase()
          .replace(/[^\w\- ]/g, "")
          .replaceAll(" ", "-"),
      );
    for (const page of PAGES) {
      const text = readFileSync(join(ROOT, page), "utf8");
      for (const [, target = ""] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
        const [path = "", anchor] = target.split("#");
        const file = path === "" ? page : join(page, "..", path);
        expect(existsSync(join(ROOT, file)), `${page} → ${target}`).toBe(true);
        if (anchor !== undefined) expect(anchors(file), `${page} → ${target}`).toContain(anchor);
      }
    }
  });

  it("name every error code", () => {
    const source = readFileSync(join(ROOT, "src/errors.ts"), "utf8");
    const codes = new Set(source.match(/PREFAULT_[A-Z_]+/g));
    const guide = readFileSync(join(ROOT, "docs/guides/troubleshooting.md"), "utf8");
    for (const code of codes) expect(guide).toContain(`| \`${code}\` |`);
  });
});

describe("the site", () => {
  it("is built by TypeDoc without a warning", async ({ skip }) => {
    const docs = join(ROOT, "docs");
    if (!existsSync(join(docs, "node_modules/typedoc"))) {
      const { code, stderr } = await run("npm", ["ci", "--no-audit", "--no-fund"], { cwd: docs });
      if (code !== 0) skip(`TypeDoc could not be installed: ${stderr}`);
    }
    const out = join(inject("packageFolder"), "site");
    const printed = await runOrThrow("npx", ["--no-install", "typedoc", "--out", out], {
      cwd: docs,
    });
    expect(printed).not.toMatch(/warning|error/i);
    for (const page of GUIDES) {
      const title = /^title: (.*)$/m.exec(readFileSync(join(ROOT, page), "utf8"))?.[1] ?? page;
      const html = `documents/${title.replaceAll(" ", "_")}.html`;
      expect(existsSync(join(out, html)), html).toBe(true);
    }
    for (const page of [
      "functions/prefault.prefault.html",
      "modules/prefault_node-llama-cpp.html",
    ]) {
      expect(existsSync(join(out, page)), page).toBe(true);
    }
  });
});

describe("a newcomer", () => {
  it("comes from an empty folder to the first report by the quick start alone", async () => {
    const empty = join(inject("packageFolder"), "newcomer");
    mkdirSync(empty);
    writeFileSync(join(empty, "package.json"), '{ "type": "module" }');
    await writeSyntheticModel({ kind: "moe", path: join(empty, "model.gguf") });
    const started = performance.now();
    await npmInstall(empty, [tarball]);
    const [first] = snippetsOf("docs/guides/quick-start.md").filter(
      ({ language }) => language === "ts",
    );
    writeFileSync(join(empty, "first.mjs"), first?.text ?? "");
    const { stdout } = await runNode(["first.mjs"], { cwd: empty });
    expect(stdout).toMatch(/^\d+ of \d+ bytes are resident\n$/);
    console.log(
      `from an empty folder to the first report: ${((performance.now() - started) / 1000).toFixed(1)} s`,
    );
  });
});
