import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { MARK, type Message } from "../guest/message.ts";
import type { Kernel } from "../kernels.ts";
import { diskArguments } from "./disks.ts";
import type { Image } from "./image.ts";

/** The machine of each architecture. `max` is everything that can be emulated. */
const MACHINES = {
  amd64: {
    program: "qemu-system-x86_64",
    options: ["-machine", "q35", "-cpu", "max"],
    console: "ttyS0",
  },
  arm64: {
    program: "qemu-system-aarch64",
    // Emulated by the architecture's own algorithm, pointer authentication halves the speed.
    options: ["-machine", "virt", "-cpu", "max,pauth-impdef=on"],
    console: "ttyAMA0",
  },
} as const;

export const emulatorOf = ({ arch }: Kernel) => MACHINES[arch].program;

/** What a guest said until it was turned off. */
export interface Boot {
  readonly messages: readonly Message[];
  /** The last lines of its console, for when something is missing. */
  readonly tail: string;
  readonly seconds: number;
}

/**
 * Boots the kernel and waits until it has run the cases and turned itself off, or for so long. Where QEMU fails an
 * assertion of its own (7.2 does now and then: `msix_table_mmio_write`), it is started once more.
 */
export async function boot(...what: Parameters<typeof bootOnce>): Promise<Boot> {
  const first = await bootOnce(...what);
  if (!first.isBroken) return first;
  console.log(`QEMU is started again: ${first.tail}`);
  return bootOnce(...what);
}

async function bootOnce(
  kernel: Kernel,
  image: Image,
  cases: string,
  timeoutMs: number,
): Promise<Boot & { readonly isBroken: boolean }> {
  const { program, options, console: serial } = MACHINES[kernel.arch];
  // Emulated, what guards against a real processor's faults only costs time.
  const append = [
    `console=${serial}`,
    "quiet",
    "panic=-1",
    "mitigations=off",
    ...(cases === "" ? [] : [`cases=${cases}`]),
  ];
  const child = spawn(
    program,
    [
      ...options,
      ...["-accel", "tcg,thread=multi", "-smp", "2", "-m", "2G"],
      ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"],
      ...["-kernel", image.kernel, "-initrd", image.initramfs, "-append", append.join(" ")],
      ...diskArguments(),
    ],
    { stdio: ["ignore", "pipe", "pipe"], timeout: timeoutMs, killSignal: "SIGKILL" },
  );
  const started = performance.now();
  const messages: Message[] = [];
  const lines: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (text: string) => lines.push(text));
  for await (const line of createInterface({ input: child.stdout })) {
    const at = line.indexOf(MARK);
    if (at >= 0) messages.push(JSON.parse(line.slice(at + MARK.length)));
    else lines.push(line);
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, "close");
  const seconds = (performance.now() - started) / 1000;
  const isBroken = child.signalCode === "SIGABRT";
  return { messages, tail: lines.slice(-40).join("\n"), seconds, isBroken };
}
