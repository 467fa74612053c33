import { readdirSync, readFileSync, statSync } from "node:fs";
import { arch, availableParallelism, cpus, platform, release, totalmem } from "node:os";
import { deviceName } from "../shims/linux-disk.ts";
import { runProgram } from "./process.ts";

/** The machine that a figure was measured on. Part of every result. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly platform: string;
  readonly kernel: string;
  readonly node: string;
  /** Of the folder with the files. */
  readonly fileSystem: string;
  readonly readAheadKb: number | null;
  readonly rotational: boolean | null;
  /** `/sys/kernel/mm/transparent_hugepage/enabled`, the chosen one in brackets. */
  readonly transparentHugePages: string | null;
  /** Under a hypervisor a page that is populated but not touched costs its next reader a fault there. */
  readonly hypervisor: boolean | null;
  /** Of a page of fresh memory, to the nearest power of two: a hypervisor without nested page tables makes it 16. */
  readonly pageFaultMicroseconds?: number;
  /**
   * Whether the kernel pages out idle memory by DAMON: then resident pages are evicted after a while,
   * and a figure taken long after a sweep says little about the sweep.
   */
  readonly damonPageOut: boolean | null;
}

export async function describeMachine(folder: string): Promise<Machine> {
  const device = deviceOf(folder);
  return {
    cpu: cpus()[0]?.model ?? arch(),
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    platform: `${platform()} ${arch()}`,
    kernel: release(),
    node: process.version,
    fileSystem: await fileSystemOf(folder),
    readAheadKb: numberIn(`/sys/class/bdi/${device}/read_ahead_kb`),
    rotational: rotational(device),
    transparentHugePages: textOf("/sys/kernel/mm/transparent_hugepage/enabled"),
    hypervisor: isGuest(),
    pageFaultMicroseconds: 2 ** Math.round(Math.log2(pageFaultMicroseconds())),
    damonPageOut: damonPageOut(),
  };
}

/** The least of some looks: what runs beside them only adds to it. */
function pageFaultMicroseconds(): number {
  const pages = 4096;
  const looks = Array.from({ length: 5 }, () => {
    const memory = new Uint8Array(pages * 4096);
    const started = performance.now();
    for (let at = 0; at < memory.length; at += 4096) memory[at] = 1;
    return (1000 * (performance.now() - started)) / pages;
  });
  return Math.min(...looks);
}

/** Whether there is a hypervisor below; `null` where the processor does not say. */
export function isGuest(): boolean | null {
  return textOf("/proc/cpuinfo")?.includes("hypervisor") ?? null;
}

/** The device of the file system a path lies on, as `/sys` calls it. */
export function deviceOf(path: string): string {
  return deviceName(statSync(path, { bigint: true }).dev);
}

async function fileSystemOf(folder: string): Promise<string> {
  try {
    const args = ["-n", "-o", "FSTYPE,SOURCE,OPTIONS", "-T", folder];
    return (await runProgram("findmnt", args)).stdout.trim().replace(/\s+/g, " ");
  } catch {
    return "unknown";
  }
}

function rotational(device: string): boolean | null {
  const block = `/sys/dev/block/${device}`;
  const value = numberIn(`${block}/queue/rotational`) ?? numberIn(`${block}/../queue/rotational`);
  return value === null ? null : value === 1;
}

/** The kernel's interface: Documentation/admin-guide/mm/damon/usage.rst. */
function damonPageOut(): boolean | null {
  if (textOf("/sys/module/damon_reclaim/parameters/enabled") === "Y") return true;
  const root = "/sys/kernel/mm/damon/admin/kdamonds";
  if (textOf(`${root}/nr_kdamonds`) === null) return null;
  return under(root).some(
    (kdamond) =>
      textOf(`${kdamond}/state`) === "on" &&
      under(`${kdamond}/contexts`).some((context) =>
        under(`${context}/schemes`).some((scheme) => textOf(`${scheme}/action`) === "pageout"),
      ),
  );
}

function under(folder: string): string[] {
  try {
    return readdirSync(folder).flatMap((name) => (/^\d+$/.test(name) ? `${folder}/${name}` : []));
  } catch {
    return [];
  }
}

function numberIn(path: string): number | null {
  const text = textOf(path);
  return text === null ? null : Number(text);
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return null;
  }
}
