import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Started, startProcess } from "../helpers/run-child.ts";
import type { BuiltImage } from "./image.ts";

/** How a container is run, beside what its image says. */
export interface ContainerOptions {
  readonly args: readonly string[];
  /** A folder of this machine, seen as `/models`, read-only. */
  readonly models: string;
  readonly limitBytes: number;
}

export interface Container extends Started {
  /** Of its first process; `undefined` while it has not begun. */
  first(): number | undefined;
  /** Ends all of it at once. */
  end(): void;
}

let count = 0;

/**
 * Runs a container by crun: as the image's user, read-only, with no capability, and a limit of memory. By a
 * configuration of its own, since engines also set limits of processes, which a container may be refused.
 */
export function startContainer(
  image: BuiltImage,
  folder: string,
  options: ContainerOptions,
): Container {
  const id = `prefault-test-${process.pid}-${count++}`;
  const bundle = join(folder, id);
  mkdirSync(bundle);
  writeFileSync(join(bundle, "config.json"), JSON.stringify(configOf(image, id, options)));
  const pidFile = join(bundle, "pid");
  const state = ["--root", join(folder, "state"), "--cgroup-manager", "cgroupfs"];
  const crun = ["crun", ...state, "run", "--bundle", bundle, "--pid-file", pidFile, id];
  const started = startProcess([...WITHOUT_UNIFIED, ...crun]);
  const first = () => (existsSync(pidFile) ? Number(readFileSync(pidFile, "utf8")) : undefined);
  let isOver = false;
  const ended = started.ended.finally(() => {
    isOver = true;
  });
  const end = () => {
    const pid = first();
    if (!isOver && pid !== undefined) process.kill(pid, "SIGKILL");
  };
  return { ...started, ended, first, end };
}

/**
 * crun refuses the hybrid of both cgroup versions, unless version 2 is out of sight: in a mount namespace of
 * its own.
 */
const WITHOUT_UNIFIED = [
  ...["unshare", "--mount", "sh", "-c"],
  'umount /sys/fs/cgroup/unified 2> /dev/null; exec "$0" "$@"',
];

const NONE = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] };

function configOf(image: BuiltImage, id: string, { args, models, limitBytes }: ContainerOptions) {
  const mount = (destination: string, type: string, ...given: string[]) => {
    return { destination, type, source: type, options: ["nosuid", "nodev", ...given] };
  };
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: image.user,
      args: [...image.entrypoint, ...args],
      env: image.env,
      cwd: "/",
      capabilities: NONE,
      noNewPrivileges: true,
    },
    root: { path: image.root, readonly: true },
    hostname: id,
    mounts: [
      mount("/proc", "proc"),
      { ...mount("/dev", "tmpfs", "mode=755"), options: ["nosuid", "mode=755"] },
      mount("/sys", "sysfs", "ro"),
      mount("/sys/fs/cgroup", "cgroup", "ro"),
      { destination: "/models", type: "bind", source: models, options: ["rbind", "ro"] },
    ],
    linux: {
      namespaces: ["pid", "mount", "ipc", "uts"].map((type) => ({ type })),
      resources: { memory: { limit: limitBytes } },
      cgroupsPath: `/${id}`,
    },
  };
}
