import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Mount, mountOfPath, parseMounts } from "./mount-table.ts";

/** The parts of the system that are read; tests give a folder of files and numbers of their own. */
export interface Machine {
  /** Where `/proc` and `/sys` are mounted. */
  readonly root: string;
  stat(path: string): Promise<{ readonly dev: bigint; readonly rdev: bigint }>;
}

export const thisMachine: Machine = { root: "/", stat: (path) => stat(path, { bigint: true }) };

/** The file system that a file is on. */
export interface FilePlace {
  /** As `stat` gives it. */
  readonly dev: bigint;
  /** `undefined` where the system does not tell. */
  readonly mount: Mount | undefined;
}

export interface DiskFacts {
  readonly isRotational: boolean;
  /** `null` where the system does not tell. */
  readonly readAheadBytes: number | null;
}

/** The facts of the disks that hold a file. Never fails: what cannot be read is not known. */
export async function describeDisk(place: FilePlace, machine: Machine): Promise<DiskFacts> {
  const devices = await devicesOf(place, machine);
  return {
    isRotational: await someRotate(devices, machine, new Set()),
    readAheadBytes: await readAheadBytes(place, devices, machine),
  };
}

/** The layers of an overlay that this process can see, upper and lower. */
export function overlayLayers({ options }: Mount): string[] {
  return options.flatMap((option) => {
    const [, paths] = /^(?:lowerdir\+?|upperdir|datadir\+)=(.*)$/.exec(option) ?? [];
    // Two colons separate layers that hold data alone; a colon of a name follows a backslash.
    const layers = paths?.split(/(?<!\\):+/).map((path) => path.replace(/\\(.)/g, "$1"));
    return layers?.filter((path) => path.startsWith("/")) ?? [];
  });
}

/** Overlays over overlays are followed this deep. */
const MOST_NESTED = 4;

/**
 * The block devices below a file, by their names in `/sys/dev/block`: none for a file of another
 * machine, or where the system does not tell.
 *
 * The device number of btrfs and overlay is no block device's. Their devices are in the table of mounts.
 */
async function devicesOf(
  { dev, mount }: FilePlace,
  machine: Machine,
  nested = 0,
): Promise<string[]> {
  const name = deviceName(dev);
  if (!name.startsWith("0:")) return [name];
  if (mount === undefined || nested > MOST_NESTED) return [];
  if (mount.type === "overlay") {
    const below: string[] = [];
    for (const layer of overlayLayers(mount)) {
      const place = await placeOf(layer, machine);
      if (place !== undefined) below.push(...(await devicesOf(place, machine, nested + 1)));
    }
    return [...new Set(below)];
  }
  const sources = mount.source.startsWith("/dev/") ? mount.source.split(":") : [];
  const devices: string[] = [];
  for (const source of sources) {
    const found = await machine.stat(source).catch(() => undefined);
    if (found !== undefined) devices.push(deviceName(found.rdev));
  }
  const volume = mount.type === "btrfs" ? await btrfsVolume(devices, machine) : undefined;
  return volume?.devices ?? devices;
}

async function placeOf(path: string, machine: Machine): Promise<FilePlace | undefined> {
  try {
    const { dev } = await machine.stat(path);
    const mounts = parseMounts((await attribute(join(machine.root, "proc/self/mountinfo"))) ?? "");
    return { dev, mount: mountOfPath(mounts, path) };
  } catch {
    return undefined;
  }
}

/** All devices of the btrfs volume that has one of them. */
async function btrfsVolume(devices: readonly string[], { root }: Machine) {
  const volumes = join(root, "sys/fs/btrfs");
  for (const id of await entries(volumes)) {
    const folder = join(volumes, id);
    const members: string[] = [];
    for (const name of await entries(join(folder, "devices"))) {
      const device = await attribute(join(folder, "devices", name, "dev"));
      if (device !== undefined) members.push(device);
    }
    if (members.some((member) => devices.includes(member))) return { folder, devices: members };
  }
  return undefined;
}

async function someRotate(
  devices: readonly string[],
  machine: Machine,
  seen: Set<string>,
): Promise<boolean> {
  for (const device of devices) {
    if (seen.has(device)) continue;
    seen.add(device);
    if (await isRotational(device, machine, seen)) return true;
  }
  return false;
}

/** Buses of hypervisors, whose disks all report `rotational` 1, whatever the host's disk is. */
const VIRTUAL_BUS = /\/(?:virtio|xen|vbd-|vmbus)/i;

/** Vendors and models of virtual disks that appear as SCSI or ATA disks. */
const VIRTUAL_NAME =
  /vmware|qemu|vbox|msft|virtual disk|virtual hdd|google|persistentdisk|amazon|blockvolume|nutanix|xensrc/i;

/**
 * Whether a disk with rotating platters is at the bottom of a block device. LVM, dm-crypt, md and loop
 * devices inherit `queue/rotational`, also from virtual disks that report it wrongly, so the disks below
 * them are asked instead. A virtual device with nothing below it, such as a RAM disk, does not rotate.
 */
async function isRotational(device: string, machine: Machine, seen: Set<string>): Promise<boolean> {
  const folder = await realpath(join(machine.root, "sys/dev/block", device)).catch(() => undefined);
  if (folder === undefined) return false;
  // A partition has no queue of its own: its disk is the folder above.
  const own = await attribute(join(folder, "queue/rotational"));
  const disk = own === undefined ? dirname(folder) : folder;
  const below = await devicesBelow(disk, machine);
  if (below.length > 0) return someRotate(below, machine, seen);
  if (disk.includes("/devices/virtual/") || VIRTUAL_BUS.test(disk)) return false;
  const vendor = await attribute(join(disk, "device/vendor"));
  const model = await attribute(join(disk, "device/model"));
  if (VIRTUAL_NAME.test(`${vendor} ${model}`)) return false;
  return (own ?? (await attribute(join(disk, "queue/rotational")))) === "1";
}

/** The devices below a stacked block device; none for a disk. */
async function devicesBelow(disk: string, machine: Machine): Promise<string[]> {
  const devices: string[] = [];
  for (const name of await entries(join(disk, "slaves"))) {
    const device = await attribute(join(disk, "slaves", name, "dev"));
    if (device !== undefined) devices.push(device);
  }
  const backing = await attribute(join(disk, "loop/backing_file"));
  const place = backing === undefined ? undefined : await placeOf(backing, machine);
  return place === undefined ? devices : [...devices, ...(await devicesOf(place, machine))];
}

/** The read-ahead of the file system where it has one, else the least of the devices below it. */
async function readAheadBytes(
  { dev, mount }: FilePlace,
  devices: readonly string[],
  machine: Machine,
): Promise<number | null> {
  const { root } = machine;
  const ofDevice = (device: string) => join(root, "sys/class/bdi", device, "read_ahead_kb");
  const volume = mount?.type === "btrfs" ? await btrfsVolume(devices, machine) : undefined;
  const own = [ofDevice(deviceName(dev))];
  if (volume !== undefined) own.push(join(volume.folder, "bdi/read_ahead_kb"));
  for (const paths of [own, devices.map(ofDevice)]) {
    const values = (await Promise.all(paths.map(attribute))).filter((value) => value !== undefined);
    if (values.length > 0) return Math.min(...values.map(Number)) * 1024;
  }
  return null;
}

/** The name of a device in `/sys`, `MAJOR:MINOR` (`gnu_dev_major`, sys/sysmacros.h). */
export function deviceName(dev: bigint): string {
  return `${(dev >> 8n) & 0xfffn}:${(dev & 0xffn) | ((dev >> 12n) & 0xfff00n)}`;
}

/** The text of a file of `/sys` or `/proc`; `undefined` where it cannot be read. */
export async function attribute(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
}

async function entries(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
