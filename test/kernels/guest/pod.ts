import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Started, start } from "./cli.ts";
import { type ContainerSpec, containerConfig, limitOf, type PodSpec } from "./container-config.ts";
import { run } from "./system.ts";

/** The folder of all pods, as the kubelet makes it with the driver `cgroupfs`. */
const BURSTABLE = ["/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/kubepods/burstable"];

/** More than any case takes. */
const LONGEST_MS = 600_000;

/** A container that runs. */
export interface RunningContainer extends Started {
  readonly id: string;
  isOver(): boolean;
  /** Of its first process, which has the container's own namespaces. */
  first(): number;
  /** A file of its cgroup, such as `memory.stat`. */
  read(file: string): string;
}

/**
 * Runs the containers of a manifest one by one, as the kubelet does: in the tree of cgroups of
 * https://kubernetes.io/docs/concepts/workloads/management/resource-management/, each by crun with its user,
 * its limit and its mounts, all of them read-only, and without a capability. What it does not do: a network of the
 * pod's own, and the runtime's default filter of system calls.
 */
export class Pod {
  static #count = 0;
  readonly #spec: PodSpec;
  readonly #models: string;
  readonly #id = `pod${Pod.#count++}`;
  readonly #running: RunningContainer[] = [];
  readonly #folder = join(BURSTABLE[1] ?? "", this.#id);

  /**
   * @param manifest a file of `examples/kubernetes`, without `.yaml`
   * @param models a folder of the guest, for the volume of that name
   */
  constructor(manifest: string, models: string) {
    const { spec } = JSON.parse(readFileSync(`/app/kubernetes/${manifest}.json`, "utf8"));
    this.#spec = spec.template.spec;
    this.#models = models;
    for (const [depth, folder] of [...BURSTABLE, this.#folder].entries()) {
      mkdirSync(folder, { recursive: true });
      if (depth < BURSTABLE.length) giveMemory(folder);
    }
    // All containers have limits: the pod's is their sum, or that of an init container which needs more
    // (kubernetes.io, "Init Containers", "Resource sharing within containers").
    const { containers, initContainers = [] } = this.#spec;
    const sum = containers.reduce((total, each) => total + limitOf(each), 0);
    const limit = Math.max(sum, ...initContainers.map(limitOf));
    writeFileSync(join(this.#folder, "memory.max"), String(limit));
    giveMemory(this.#folder);
  }

  /** A file of the pod's cgroup. */
  read(file: string): string {
    return readFileSync(join(this.#folder, file), "utf8");
  }

  /** Seconds that a container has to end in after SIGTERM. */
  get graceSeconds(): number {
    return this.#spec.terminationGracePeriodSeconds ?? 30;
  }

  #container(name: string): ContainerSpec {
    const { containers, initContainers = [] } = this.#spec;
    const found = [...initContainers, ...containers].find((each) => each.name === name);
    if (found === undefined) throw new Error(`no container ${name}`);
    return found;
  }

  start(name: string): RunningContainer {
    const spec = this.#container(name);
    const id = `${this.#id}-${name}`;
    const bundle = join("/tmp", id);
    mkdirSync(bundle);
    const group = join("/kubepods/burstable", this.#id, name);
    const config = containerConfig(this.#spec, spec, { cgroupsPath: group, volume: this.#models });
    writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
    const pidFile = join(bundle, "pid");
    // The guest's first file system cannot be pivoted away from (Linux, ramfs-rootfs-initramfs.rst).
    const flags = ["--no-pivot", "--bundle", bundle, "--pid-file", pidFile];
    const crun = ["crun", "--cgroup-manager", "cgroupfs", "run", ...flags, id];
    const started = start(crun, { timeoutMs: LONGEST_MS });
    let isOver = false;
    started.ended.finally(() => {
      isOver = true;
    });
    const container = {
      ...started,
      id,
      isOver: () => isOver,
      first: () => Number(readFileSync(pidFile, "utf8")),
      read: (file: string) => readFileSync(join("/sys/fs/cgroup", group, file), "utf8"),
    };
    this.#running.push(container);
    return container;
  }

  /** Ends what still runs, and removes the pod's cgroup, as the kubelet does after the last container. */
  async remove(): Promise<void> {
    for (const { id, isOver, ended, child } of this.#running.splice(0)) {
      if (!isOver()) {
        try {
          run("crun", "delete", "--force", id);
        } catch {
          // It was ending by itself, or had not begun.
          child.kill("SIGKILL");
        }
      }
      await ended;
    }
    if (existsSync(this.#folder)) rmdirSync(this.#folder);
  }
}

/** Lets the groups within have limits of memory. */
function giveMemory(folder: string): void {
  writeFileSync(join(folder, "cgroup.subtree_control"), "+memory");
}
