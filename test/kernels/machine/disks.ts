import { closeSync, ftruncateSync, openSync } from "node:fs";
import { cached } from "./cache.ts";
import { command } from "./command.ts";

/** A disk of the guest, and the file system on it, whose label is the disk's name. */
export interface Disk {
  readonly name: string;
  readonly fileSystem: "ext4" | "xfs";
  /** How it is attached. A SATA disk can say that it does not rotate; a virtio disk cannot. */
  readonly bus: "virtio" | "sata";
  /** Rounds a minute; 1 stands for none (ATA, word 217). */
  readonly rotationRate?: number;
  /** A name that no hypervisor gives its disks. */
  readonly model?: string;
}

export const DISKS: readonly Disk[] = [
  { name: "ext4", fileSystem: "ext4", bus: "virtio" },
  { name: "xfs", fileSystem: "xfs", bus: "virtio" },
  { name: "mapped", fileSystem: "ext4", bus: "virtio" },
  { name: "flash", fileSystem: "ext4", bus: "sata", rotationRate: 1, model: "flash" },
  { name: "platters", fileSystem: "ext4", bus: "sata", rotationRate: 7200, model: "platters" },
];

/** Sparse: an image costs what is written to it. */
const DISK_BYTES = 2 * 1024 ** 3;

/** Without what the oldest kernel of the table does not know, but a newer `mkfs` turns on. */
const FORMATS = {
  ext4: ["mkfs.ext4", "-q", "-b", "4096", "-O", "^orphan_file"],
  xfs: ["mkfs.xfs", "-q", "-i", "nrext64=0"],
} as const;

/** The arguments of QEMU for all disks. What the guest writes is gone with it (`snapshot`). */
export function diskArguments(): string[] {
  const sata = ["-device", "ich9-ahci,id=sata"];
  return [
    ...sata,
    ...DISKS.flatMap((disk, index) => {
      const { name, bus, rotationRate, model } = disk;
      const drive = `file=${image(disk)},format=raw,if=none,id=${name},snapshot=on`;
      const device =
        bus === "virtio"
          ? `virtio-blk-pci,drive=${name}`
          : `ide-hd,drive=${name},bus=sata.${index},rotation_rate=${rotationRate},model=${model}`;
      return ["-drive", drive, "-device", device];
    }),
  ];
}

function image({ name, fileSystem }: Disk): string {
  return cached(`disks/${name}-${DISK_BYTES}.img`, (path) => {
    const fd = openSync(path, "w");
    ftruncateSync(fd, DISK_BYTES);
    closeSync(fd);
    const [mkfs, ...options] = FORMATS[fileSystem];
    command(mkfs, [...options, "-L", name, path]);
  });
}
