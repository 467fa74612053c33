import { expect, test } from "vitest";
import { describeDisk, type Machine } from "../../shims/linux-disk.ts";
import { type Mount, parseMounts } from "../../shims/mount-table.ts";
import { madeUpRoot } from "../helpers/made-up-root.ts";
import { onLinux } from "../helpers/platform.ts";

/** A block device of a made-up `/sys`. */
interface Device {
  /** `MAJOR:MINOR` */
  readonly number: string;
  /** Below `/sys/devices`. */
  readonly path: string;
  readonly rotational?: 0 | 1;
  /** Devices below it, by their numbers. */
  readonly slaves?: readonly string[];
  readonly backingFile?: string;
  readonly vendor?: string;
  readonly model?: string;
  /** KiB */
  readonly readAhead?: number;
}

const SATA = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda";
const NVME = "pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1";
const VIRTIO = "pci0000:00/0000:00:02.0/virtio1/block/vda";
const virtual = (name: string) => `virtual/block/${name}`;

interface Made {
  readonly devices: readonly Device[];
  readonly mounts?: string;
  /** What `stat` says, by path. */
  readonly files?: Readonly<Record<string, { readonly dev?: string; readonly rdev?: string }>>;
  readonly sys?: Readonly<Record<string, string>>;
}

function machine({ devices, mounts = "", files = {}, sys = {} }: Made): Machine {
  const texts: Record<string, string> = { "proc/self/mountinfo": mounts, ...sys };
  const links: Record<string, string> = {};
  for (const { number, path, rotational, readAhead, ...device } of devices) {
    const folder = `sys/devices/${path}`;
    texts[`${folder}/dev`] = `${number}\n`;
    if (rotational !== undefined) texts[`${folder}/queue/rotational`] = `${rotational}\n`;
    if (readAhead !== undefined) {
      texts[`sys/class/bdi/${number}/read_ahead_kb`] = `${readAhead}\n`;
    }
    if (device.vendor) texts[`${folder}/device/vendor`] = `${device.vendor}\n`;
    if (device.model) texts[`${folder}/device/model`] = `${device.model}\n`;
    if (device.backingFile) texts[`${folder}/loop/backing_file`] = `${device.backingFile}\n`;
    links[`sys/dev/block/${number}`] = `../../devices/${path}`;
    for (const slave of device.slaves ?? []) {
      const below = devices.find((each) => each.number === slave)?.path ?? "";
      const up = "../".repeat(path.split("/").length + 1);
      links[`${folder}/slaves/${slave.replace(":", "-")}`] = `${up}${below}`;
    }
  }
  return {
    root: madeUpRoot(texts, links),
    async stat(path) {
      const found = files[path];
      if (found === undefined) throw new Error(`ENOENT: ${path}`);
      return { dev: packed(found.dev ?? "0:1"), rdev: packed(found.rdev ?? "0:0") };
    },
  };
}

/** As `stat` gives it; small numbers only. */
function packed(number: string): bigint {
  const [major = 0, minor = 0] = number.split(":").map(Number);
  return (BigInt(major) << 8n) | BigInt(minor);
}

async function rotates(number: string, made: Made, mount?: Mount): Promise<boolean> {
  const place = { dev: packed(number), mount };
  return (await describeDisk(place, machine(made))).isRotational;
}

const hardDisk: Device = {
  number: "8:0",
  path: SATA,
  rotational: 1,
  vendor: "ATA",
  model: "ST4000",
};
const partition: Device = { number: "8:1", path: `${SATA}/sda1` };
const nvme: Device = { number: "259:0", path: NVME, rotational: 0 };
const virtio: Device = { number: "254:0", path: VIRTIO, rotational: 1 };
const loop: Device = {
  number: "7:0",
  path: virtual("loop0"),
  rotational: 1,
  backingFile: "/img",
};
const mapper = (number: string, slaves: readonly string[]): Device => ({
  number,
  path: virtual(`dm-${number.split(":")[1]}`),
  rotational: 1,
  slaves,
});

onLinux("a disk rotates", () => {
  test.each<[string, string, readonly Device[]]>([
    ["that is one", "8:0", [hardDisk]],
    ["by its partition", "8:1", [hardDisk, partition]],
    ["below LVM", "253:0", [hardDisk, partition, mapper("253:0", ["8:1"])]],
    [
      "below dm-crypt below LVM",
      "253:1",
      [hardDisk, mapper("253:0", ["8:0"]), mapper("253:1", ["253:0"])],
    ],
    ["as one of several of a RAID", "9:0", [nvme, hardDisk, mapper("9:0", ["259:0", "8:0"])]],
  ])("%s", async (_, number, devices) => {
    expect(await rotates(number, { devices })).toBe(true);
  });

  test("below the file of a loop device", async () => {
    const devices = [hardDisk, partition, loop];
    expect(await rotates("7:0", { devices, files: { "/img": { dev: "8:1" } } })).toBe(true);
  });

  test("below btrfs, whose files have a made-up device number", async () => {
    const [mount] = parseMounts("40 1 0:33 /@home /home rw - btrfs /dev/sda1 rw,subvol=/@home\n");
    const made = { devices: [hardDisk, partition], files: { "/dev/sda1": { rdev: "8:1" } } };
    expect(await rotates("0:47", made, mount)).toBe(true);
  });

  test("as the other device of a btrfs volume", async () => {
    const [mount] = parseMounts("40 1 0:33 / /home rw - btrfs /dev/nvme0n1 rw\n");
    const files = { "/dev/nvme0n1": { rdev: "259:0" } };
    const volume = "sys/fs/btrfs/1234-5678/devices";
    const sys = { [`${volume}/nvme0n1/dev`]: "259:0\n", [`${volume}/sda/dev`]: "8:0\n" };
    expect(await rotates("0:47", { devices: [nvme, hardDisk], files, sys }, mount)).toBe(true);
  });

  test("below a layer of an overlay", async () => {
    const line =
      "50 1 0:60 / /o rw - overlay overlay rw,lowerdir=/a:/b\\134:c,upperdir=/gone,workdir=/w\n";
    const [mount] = parseMounts(line);
    const files = { "/a": { dev: "259:0" }, "/b:c": { dev: "8:1" } };
    expect(await rotates("0:60", { devices: [nvme, hardDisk, partition], files }, mount)).toBe(
      true,
    );
  });
});

onLinux("a disk does not rotate", () => {
  test.each<[string, string, readonly Device[]]>([
    ["that says so", "259:0", [nvme]],
    ["of virtio, which says it does", "254:0", [virtio]],
    ["of virtio below LVM", "253:0", [virtio, mapper("253:0", ["254:0"])]],
    [
      "of virtio below dm-crypt below LVM",
      "253:1",
      [virtio, mapper("253:0", ["254:0"]), mapper("253:1", ["253:0"])],
    ],
    ["of Xen", "202:1", [{ number: "202:1", path: "vbd-51713/block/xvda1", rotational: 1 }]],
    [
      "of Hyper-V",
      "8:0",
      [{ ...hardDisk, path: "LNXSYSTM:00/VMBUS:00/f8b3/host0/0:0:0:0/block/sda" }],
    ],
    ["of VMware", "8:0", [{ ...hardDisk, vendor: "VMware", model: "Virtual disk" }]],
    ["of QEMU as a SCSI disk", "8:0", [{ ...hardDisk, vendor: "QEMU", model: "QEMU HARDDISK" }]],
    ["of VirtualBox", "8:0", [{ ...hardDisk, model: "VBOX HARDDISK" }]],
    ["of Azure", "8:0", [{ ...hardDisk, vendor: "Msft", model: "Virtual Disk" }]],
    ["of Google", "8:0", [{ ...hardDisk, vendor: "Google", model: "PersistentDisk" }]],
    ["that is made of nothing", "7:0", [{ number: "7:0", path: virtual("ram0"), rotational: 1 }]],
    ["that the system does not know", "99:9", []],
  ])("%s", async (_, number, devices) => {
    expect(await rotates(number, { devices })).toBe(false);
  });

  test.each([
    ["on a virtual disk", { "/img": { dev: "254:0" } }],
    ["that is gone", {}],
  ])("of a loop device, with a file %s", async (_, files) => {
    expect(await rotates("7:0", { devices: [virtio, loop], files })).toBe(false);
  });

  test("that is made of itself", async () => {
    const devices = [mapper("253:0", ["253:1"]), mapper("253:1", ["253:0"])];
    expect(await rotates("253:0", { devices })).toBe(false);
  });

  test("of another machine", async () => {
    const [mount] = parseMounts("40 1 0:33 / /n rw - nfs4 server:/models rw\n");
    expect(await rotates("0:33", { devices: [hardDisk] }, mount)).toBe(false);
  });
});

onLinux("read-ahead", () => {
  const readAhead = async (number: string, made: Made, mount?: Mount) =>
    (await describeDisk({ dev: packed(number), mount }, machine(made))).readAheadBytes;

  test("is that of the device the file system is on, not of those below", async () => {
    const volume = { ...mapper("253:0", ["8:0"]), readAhead: 4096 };
    const devices = [{ ...hardDisk, readAhead: 128 }, volume];
    expect(await readAhead("253:0", { devices })).toBe(4096 * 1024);
  });

  test("of btrfs is the volume's own", async () => {
    const [mount] = parseMounts("40 1 0:33 / /home rw - btrfs /dev/sda rw\n");
    const files = { "/dev/sda": { rdev: "8:0" } };
    const sys = {
      "sys/fs/btrfs/1234/devices/sda/dev": "8:0\n",
      "sys/fs/btrfs/1234/bdi/read_ahead_kb": "4096\n",
    };
    const devices = [{ ...hardDisk, readAhead: 128 }];
    expect(await readAhead("0:47", { devices, files, sys }, mount)).toBe(4096 * 1024);
  });

  test("of an overlay is the least of its layers'", async () => {
    const [mount] = parseMounts("50 1 0:60 / /o rw - overlay overlay rw,lowerdir=/a,upperdir=/b\n");
    const files = { "/a": { dev: "8:0" }, "/b": { dev: "259:0" } };
    const devices = [
      { ...hardDisk, readAhead: 4096 },
      { ...nvme, readAhead: 128 },
    ];
    expect(await readAhead("0:60", { devices, files }, mount)).toBe(128 * 1024);
  });

  test("is not known where nothing is told", async () => {
    expect(await readAhead("99:9", { devices: [] })).toBeNull();
  });
});
