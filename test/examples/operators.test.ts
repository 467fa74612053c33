import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { validate as lintDockerfile } from "dockerfile-utils";
import { DaemonSet, type DaemonSetSpec, Deployment } from "kubernetes-models/apps/v1";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { parseAllDocuments, parseDocument } from "yaml";
import manifest from "../../package.json" with { type: "json" };
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { npmInstall, packedTarball, TSC } from "../package/packed.ts";
import { ROOT, run, runNode, runOrThrow } from "../package/run.ts";
import { servedBy, startedBy } from "./operators.ts";

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
    expect(files.sort()).toEqual(["daemonset.yaml", "init-container.yaml", "run.yaml"]);
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

  /** A container of a manifest, by its name. */
  function container(file: string, name: string) {
    const [{ spec } = { spec: undefined }] = documents(file);
    const { containers = [], initContainers = [] } = spec?.template.spec ?? {};
    const found = [...containers, ...initContainers].find((each) => each.name === name);
    const { command: words = [], args = [] } = found ?? {};
    const here = (word: string) => word.replace("/models/model.gguf", model);
    return { ...found, command: words.map(here), args: args.map(here) };
  }

  it("init-container.yaml runs a command that warms", async () => {
    const { args, command: entry } = container("init-container.yaml", "warm");
    expect(entry).toEqual([]);
    const { code, stderr } = await run(command, args, { env: path() });
    expect(stderr).toMatch(PREFAULTED);
    expect(code).toBe(0);
  });

  it("daemonset.yaml runs a command that its probe finds ready, and that ends when it is told to", async () => {
    const {
      args,
      command: entry,
      readinessProbe,
      ports = [],
    } = container("daemonset.yaml", "warm");
    expect(entry).toEqual([]);
    const { path: probed, port } = readinessProbe?.httpGet ?? {};
    expect(ports).toContainEqual({ name: port, containerPort: 9100 });
    const { code, stderr, ready, metrics } = await servedBy(
      [command, ...args],
      probed ?? "",
      path(),
    );
    expect(ready).toMatch(/^warm: /);
    expect(metrics).toMatch(/^prefault_warm 1$/m);
    expect(stderr).toMatch(/^(\[llama\.cpp( experts)?\] Pre-faulted .*\n){2}/m);
    expect(code).toBe(0);
  });

  it("run.yaml runs a server whose model is warmed, and that is stopped once", async () => {
    const { args, command: entry } = container("run.yaml", "llama-server");
    await expectServer(await startedBy([...entry, ...args], path()));
  });
});

const path = () => ({ PATH: `${join(command, "..")}:${process.env["PATH"]}` });

const PREFAULTED = /^(\[llama\.cpp( experts)?\] Pre-faulted .*\n){2}$/;

/** That a server was warmed, got one signal to end, and that prefault ended as it did. */
async function expectServer(ended: Awaited<ReturnType<typeof startedBy>>): Promise<void> {
  expect(ended.stderr).toMatch(/Pre-faulted/);
  expect(ended.signals).toEqual(["SIGTERM"]);
  expect(ended.code).toBe(0);
  expect(ended.left).toEqual([]);
}

describe("the systemd units", () => {
  const units = readdirSync(join(EXAMPLES, "systemd"));
  const startOf = (unit: string) => /^ExecStart=(.*)$/m.exec(read("systemd", unit))?.[1] ?? "";

  it("are what the guides name", () => {
    expect(units.sort()).toEqual(["llama-server.service", "prefault@.service"]);
  });

  it.for(units)("%s is accepted by systemd-analyze", async (unit, { skip }) => {
    const { code: missing } = await run("systemd-analyze", ["--version"]);
    if (missing !== 0) skip("there is no systemd-analyze");
    const verified = await run("systemd-analyze", [
      "verify",
      "--man=no",
      "--recursive-errors=no",
      join(EXAMPLES, "systemd", unit),
    ]);
    // Of other units of this machine it may have something to say.
    const said = `${verified.stdout}${verified.stderr}`.split("\n");
    expect(said.filter((line) => line.includes(unit.replace(/@?\.service/, "")))).toEqual([]);
    expect(verified.code).toBe(0);
  });

  it("prefault@.service runs a command that warms, whatever is in the path", async () => {
    const shell = startOf("prefault@.service").replace("%f", model);
    const { code, stderr } = await run("sh", ["-c", shell], {
      env: { ...path(), PREFAULT_ARGS: "-ngl 1" },
    });
    expect(stderr).toMatch(PREFAULTED);
    expect(code).toBe(0);
  });

  it("llama-server.service runs a server that is warmed, and passes the signal on", async () => {
    const unit = read("systemd", "llama-server.service");
    // Else systemd would signal the server as well, which takes the second signal for impatience.
    expect(unit).toMatch(/^KillMode=mixed$/m);
    expect(unit).toMatch(/^LimitMEMLOCK=infinity$/m);
    // systemd replaces a variable in braces by one word, like quotes do in a shell.
    const shell = startOf("llama-server.service").replace(/\$\{MODEL\}/, '"$MODEL"');
    const variables = { MODEL: model, LLAMA_ARGS: "-ngl 1", PREFAULT_ARGS: "--budget auto --lock" };
    await expectServer(await startedBy(["sh", "-c", `exec ${shell}`], { ...path(), ...variables }));
  });
});

describe("the compose file", () => {
  const document = parseDocument(read("compose", "compose.yaml"));
  const service = document.toJS().services["llama-server"];

  it("is YAML without a doubt, and has fields that Compose knows", () => {
    expect([...document.errors, ...document.warnings]).toEqual([]);
    expect(Object.keys(document.toJS())).toEqual(["services"]);
    for (const key of Object.keys(service)) expect(COMPOSE_FIELDS).toContain(key);
  });

  it("allows locks, asks the server's health, and builds from a file that is there", () => {
    expect(service.ulimits.memlock).toEqual({ soft: -1, hard: -1 });
    const [kind, ...test] = service.healthcheck.test;
    expect([kind, test[0], test.at(-1)]).toEqual(["CMD", "curl", "http://127.0.0.1:8080/health"]);
    const context = join(EXAMPLES, "compose", service.build.context);
    expect(readFileSync(join(context, service.build.dockerfile), "utf8")).toContain("ENTRYPOINT");
    expect(existsSync(join(context, "package.json"))).toBe(true);
  });

  it("runs a server that is warmed", async () => {
    const words = [...service.entrypoint, ...service.command];
    const here = words.map((word: string) => word.replace("/models/model.gguf", model));
    await expectServer(await startedBy(here, path()));
  });
});

/** Of a service, as far as they are used here (compose-spec, "Services top-level elements"). */
const COMPOSE_FIELDS = [
  ...["build", "command", "entrypoint", "healthcheck", "mem_limit", "ports", "restart"],
  ...["stop_grace_period", "ulimits", "user", "volumes"],
];

describe("the container files", () => {
  const text = read("container", "Dockerfile");

  it.each(["container", "compose"])("of %s has nothing for a linter to say", (folder) => {
    const linted = lintDockerfile(read(folder, "Dockerfile"));
    expect(linted.map(({ message, range }) => [range.start.line, message])).toEqual([]);
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
