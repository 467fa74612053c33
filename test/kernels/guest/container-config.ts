import { mkdirSync } from "node:fs";
import type { DaemonSetSpec } from "kubernetes-models/apps/v1";
import { pageBytes } from "./raw.ts";
import { MIB, run } from "./system.ts";

export type PodSpec = NonNullable<NonNullable<DaemonSetSpec["template"]>["spec"]>;
export type ContainerSpec = PodSpec["containers"][number];

const GIB_TEXT = /^(\d+)Gi$/;

/** So many MiB of the guest stand for a GiB of the manifests. Where a page is larger, Node takes twice as much. */
const SCALE_MIB = pageBytes > 4096 ? 32 : 16;

/** What the images of the manifests start, where the manifest names no command. */
const ENTRYPOINTS: Readonly<Record<string, readonly string[]>> = {
  prefault: ["prefault"],
  "llama-server": ["llama-server"],
};

const NO_CAPABILITIES = {
  bounding: [],
  effective: [],
  inheritable: [],
  permitted: [],
  ambient: [],
};

/** In bytes, as small as the guest. */
export function limitOf({ name, resources }: ContainerSpec): number {
  const limit = GIB_TEXT.exec(String(resources?.limits?.["memory"]))?.[1];
  if (limit === undefined) throw new Error(`${name} has no limit in GiB`);
  return Number(limit) * SCALE_MIB * MIB;
}

/** Where a container of a pod runs. */
export interface Place {
  readonly cgroupsPath: string;
  /** A folder of the guest, for each volume that the container mounts. */
  readonly volume: string;
}

/** A container of a manifest, as the OCI runtime specification has it (config.md). */
export function containerConfig(pod: PodSpec, spec: ContainerSpec, { cgroupsPath, volume }: Place) {
  const { runAsUser: uid = 0, runAsGroup: gid = 0, fsGroup } = pod.securityContext ?? {};
  const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } =
    spec.securityContext ?? {};
  if (capabilities?.drop?.[0] !== "ALL") throw new Error(`${spec.name} keeps capabilities`);
  const image = /([\w-]+):[\w.]+$/.exec(spec.image ?? "")?.[1] ?? "";
  const command = spec.command ?? ENTRYPOINTS[image] ?? [];
  const own = ["nosuid", "nodev"];
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid, gid, ...(fsGroup === undefined ? {} : { additionalGids: [fsGroup] }) },
      args: [...command, ...(spec.args ?? [])],
      env: ["PATH=/bin:/usr/bin"],
      cwd: "/",
      capabilities: NO_CAPABILITIES,
      noNewPrivileges: allowPrivilegeEscalation === false,
    },
    root: { path: imageRoot(), readonly: readOnlyRootFilesystem === true },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: own },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: [...own, "ro"] },
      {
        destination: "/sys/fs/cgroup",
        type: "cgroup",
        source: "cgroup",
        options: [...own, "ro"],
      },
      ...(spec.volumeMounts ?? []).map(({ mountPath, readOnly }) => ({
        destination: mountPath,
        type: "bind",
        source: volume,
        options: ["rbind", readOnly === true ? "ro" : "rw"],
      })),
    ],
    linux: {
      namespaces: ["pid", "mount", "ipc", "uts", "cgroup"].map((type) => ({ type })),
      resources: { memory: { limit: limitOf(spec) } },
      cgroupsPath,
    },
  };
}

let root: string | undefined;

/** The guest's own files stand for the images: Node, the package as npm installs it, and the server. */
function imageRoot(): string {
  if (root === undefined) {
    root = "/mnt/image";
    mkdirSync(root);
    run("mount", "--bind", "/", root);
  }
  return root;
}
