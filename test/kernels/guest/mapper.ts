import { join } from "node:path";
import { run } from "./system.ts";

/** A part of a device-mapper device, in the order they lie. Sectors of 512 bytes. */
export interface Target {
  readonly sectors: number;
  readonly kind: "linear" | "error" | "delay";
  /** Of each read. */
  readonly delayMs?: number;
}

/** A device that device-mapper lays over another one, sector for sector. */
export class MappedDevice {
  readonly path: string;
  readonly sectors: number;
  readonly #name: string;
  readonly #below: string;

  constructor(name: string, below: string) {
    this.#name = name;
    this.#below = below;
    this.sectors = Number(run("blockdev", "--getsz", below));
    dmsetup("create", name, "--table", this.#table([{ sectors: this.sectors, kind: "linear" }]));
    // The kernel's own name: there is no udev that would make a link of the other one.
    const info = dmsetup("info", "--columns", "--noheadings", "-o", "blkdevname", name);
    this.path = join("/dev", info.trim());
  }

  /** Puts other targets in place while the device is in use. */
  reload(targets: readonly Target[]): void {
    dmsetup("suspend", "--noflush", "--nolockfs", this.#name);
    dmsetup("reload", this.#name, "--table", this.#table(targets));
    dmsetup("resume", this.#name);
  }

  reset(): void {
    this.reload([{ sectors: this.sectors, kind: "linear" }]);
  }

  #table(targets: readonly Target[]): string {
    let at = 0;
    const lines = targets.map(({ sectors, kind, delayMs }) => {
      const below = kind === "error" ? "" : ` ${this.#below} ${at}`;
      const line = `${at} ${sectors} ${kind}${below}${kind === "delay" ? ` ${delayMs}` : ""}`;
      at += sectors;
      return line;
    });
    return lines.join("\n");
  }
}

function dmsetup(...args: string[]): string {
  return run("dmsetup", "--noudevsync", "--noudevrules", ...args);
}
