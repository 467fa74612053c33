import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { validate as lintDockerfile } from "dockerfile-utils";
import { DaemonSet, type DaemonSetSpec, Deployment } from "kubernetes-models/apps/v1";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { parseAllDocuments } from "yaml";
import manifest from "../../package.json" with { type: "json" };
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { npmInstall, packedTarball, TSC } from "./packed.ts";
import { ROOT, run, runNode, runOrThrow } from "./run.ts";

const EXAMPLES = join(ROOT, "examples");
const read = (...path: string[]) => readFileSync(join(EXAMPLES, ...path), "utf8");

let model: string;
let command: string;
/** Installed as the image installs it: globally, and without anybody's scripts. */
beforeAll(async () => {
  const prefix = join(inject("packageFolder"), "global");
  const flags = ["--global", "--omit=dev", "--ignore-scripts", "--prefix", prefix];
  await npmInstall(inject("packageFolder"), [await packedTarball()], flags);
  command = join(prefix, "bin/prefault");
  model = join(inject("packageFolder"), "operators model.gguf");
  await writeSyntheticModel({ kind: "moe", path: model });
});

type PodSpec = NonNullable<NonNullable<DaemonSetSpec["template"]>["spec"]>;

interface Workload {
  readonly apiVersion: string;
  readonly kind: string;
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

const KINDS = { DaemonSet, Deployment };

function documents(file: string): Workload[] {
  return parseAllDocuments(read("kubernetes", file)).map((document) => {
    expect(document.errors).toEqual([]);
    expect(document.warnings).toEqual([]);
    return document.toJS() as Workload;
  });
}

/** @throws when Kubernetes' own schema of the kind does not hold */
function validate(document: Workload): void {
  const Kind = KINDS[document.kind as keyof typeof KINDS];
  expect(document.apiVersion).toBe("apps/v1");
  new Kind(document as never).validate();
}

/** What TypeScript says of the documents as literals of Kubernetes' types: the schemas let any pass. */
async function unknownFields(documents: readonly Workload[]): Promise<string> {
  const folder = mkdtempSync(join(ROOT, "build/manifests-"));
  try {
    const literals = documents.map(
      (document, at) => `export const d${at}: I${document.kind} = ${JSON.stringify(document)};`,
    );
    const source = `import type { IDaemonSet, IDeployment } from "kubernetes-models/apps/v1";`;
    writeFileSync(join(folder, "manifests.ts"), [source, ...literals].join("\n"));
    const compilerOptions = {
      module: "esnext",
      moduleResolution: "bundler",
      strict: true,
      skipLibCheck: true,
      noEmit: true,
      types: [],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
    return (await runNode([TSC, "-p", folder])).stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the Kubernetes manifests", () => {
  const files = readdirSync(join(EXAMPLES, "kubernetes"));

  it("are what the guide names", () => {
    expect(files.sort()).toEqual(["daemonset.yaml", "init-container.yaml"]);
  });

  it.each(files)("%s is valid by Kubernetes' schemas", (file) => {
    const found = documents(file);
    expect(found).toHaveLength(1);
    for (const document of found) validate(document);
  });

  it("would be found invalid with a value of the wrong type, or without a field", () => {
    const [deployment] = documents("init-container.yaml");
    const broken = [
      { ...deployment, spec: { ...deployment?.spec, replicas: "one" } },
      { ...deployment, spec: { ...deployment?.spec, selector: undefined } },
    ];
    for (const document of broken) expect(() => validate(document as Workload)).toThrow();
  });

  it("have no field that Kubernetes does not know", async () => {
    const all = files.flatMap(documents);
    expect(await unknownFields(all)).toBe("");
    const typo = documents("daemonset.yaml").map((document) => {
      const { template } = document.spec;
      const spec = { ...template.spec, initContainer: [] };
      return { ...document, spec: { ...document.spec, template: { ...template, spec } } };
    });
    expect(await unknownFields(typo)).toMatch(/initContainer.* does not exist/);
  });

  it.each(files)("%s mounts what it names, and limits who is charged", (file) => {
    for (const { spec } of documents(file)) {
      const { containers, initContainers = [], volumes = [] } = spec.template.spec;
      const names = volumes.map(({ name }) => name);
      for (const { volumeMounts = [], resources, securityContext } of [
        ...containers,
        ...initContainers,
      ]) {
        for (const mount of volumeMounts) {
          expect(names).toContain(mount.name);
          expect(mount.readOnly).toBe(true);
        }
        expect(resources?.limits?.["memory"]).toBe("32Gi");
        expect(securityContext?.allowPrivilegeEscalation).toBe(false);
      }
    }
  });

  it.each(files)("%s runs a command that warms", async (file) => {
    const [{ spec } = { spec: undefined }] = documents(file);
    const { containers = [], initContainers = [] } = spec?.template.spec ?? {};
    const warm = [...containers, ...initContainers].find(({ name }) => name === "warm");
    const args = (warm?.args ?? []).map((arg) => arg.replace("/models/model.gguf", model));
    const env = { PATH: `${join(command, "..")}:${process.env["PATH"]}` };
    if (warm?.command === undefined) {
      const { code, stderr } = await run(command, args, { env });
      expect(stderr).toMatch(/^(\[llama\.cpp( experts)?\] Pre-faulted .*\n){2}$/);
      expect(code).toBe(0);
      return;
    }
    // The loop, once around; what it is told to stop by ends it at once.
    const [shell = "sh", ...flags] = warm.command;
    const loop = (args[0] ?? "").replace(model, `"${model}"`);
    const once = `(sleep 2; kill -TERM $$) & ${loop}`;
    const { code, stderr } = await run(shell, [...flags, once], { env });
    expect(code).toBe(0);
    expect(stderr).toMatch(/^(\[llama\.cpp( experts)?\] Pre-faulted .*\n){2}$/);
  });
});

describe("the systemd unit", () => {
  const unit = read("systemd", "prefault@.service");

  it("is accepted by systemd-analyze", async ({ skip }) => {
    const { code: missing } = await run("systemd-analyze", ["--version"]);
    if (missing !== 0) skip("there is no systemd-analyze");
    const { code, stdout, stderr } = await run("systemd-analyze", [
      "verify",
      "--man=no",
      "--recursive-errors=no",
      join(EXAMPLES, "systemd/prefault@.service"),
    ]);
    // Of other units of this machine it may have something to say.
    const ours = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("prefault"));
    expect(ours).toEqual([]);
    expect(code).toBe(0);
  });

  it("runs a command that warms, whatever is in the path", async () => {
    const [, line = ""] = /^ExecStart=(.*)$/m.exec(unit) ?? [];
    const shell = line.replace("%f", model);
    const { code, stderr } = await run("sh", ["-c", shell], {
      env: { PATH: `${join(command, "..")}:${process.env["PATH"]}`, PREFAULT_ARGS: "-ngl 1" },
    });
    expect(stderr).toMatch(/^(\[llama\.cpp( experts)?\] Pre-faulted .*\n){2}$/);
    expect(code).toBe(0);
  });
});

describe("the container file", () => {
  const text = read("container", "Dockerfile");

  it("has nothing for a linter to say", () => {
    expect(lintDockerfile(text).map(({ message, range }) => [range.start.line, message])).toEqual(
      [],
    );
    expect(lintDockerfile("FROM node\nRNU true\n")).toHaveLength(1);
  });

  it("installs the tarball as it was installed here, and the command runs", async () => {
    expect(text).toMatch(/COPY prefault-\*\.tgz .*\n/);
    for (const flag of ["--global", "--omit=dev", "--ignore-scripts", "--prefix"]) {
      expect(text).toContain(flag);
    }
    expect(await runOrThrow(command, ["--version"])).toBe(`${manifest.version}\n`);
    const { code, stderr } = await run(command, [model]);
    expect(stderr).toMatch(/^\[prefault\] Pre-faulted .*\n$/);
    expect(code).toBe(0);
  });
});
