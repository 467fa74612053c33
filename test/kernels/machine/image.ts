import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { parse } from "yaml";
import { bundleRunner } from "../../conformance/installation.ts";
import { writeSyntheticModel } from "../../models/synthetic-model.ts";
import type { Kernel } from "../kernels.ts";
import { cached } from "./cache.ts";
import { command } from "./command.ts";
import { unpackedKernel } from "./debian.ts";
import { copyModules, type KernelFiles, kernelFiles } from "./modules.ts";
import { archive, userland } from "./userland.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** What QEMU boots. */
export interface Image {
  readonly kernel: string;
  readonly initramfs: string;
}

/**
 * The kernel, and its first file system: userland, modules and what is tested, one after the other.
 *
 * @param folder for what is made anew each time
 */
export async function makeImage(kernel: Kernel, folder: string): Promise<Image> {
  const files = kernelFiles(
    unpackedKernel({ name: kernel.suite, arch: kernel.arch }, kernel.package),
  );
  const tested = await testedLayer(kernel, folder);
  const layers = [userland(kernel.arch), moduleLayer(kernel, files), tested];
  const initramfs = join(folder, "initramfs");
  rmSync(initramfs, { force: true });
  // Not compressed: emulated, unpacking would take longer than anything else of the boot.
  for (const layer of layers) appendFileSync(initramfs, readFileSync(layer));
  return { kernel: files.image, initramfs };
}

function moduleLayer({ arch }: Kernel, files: KernelFiles): string {
  return cached(`modules-${files.release}-${arch}.cpio`, (path) => {
    const folder = cached(`modules-${files.release}-${arch}`, (root) => {
      copyModules(files, join(root, "modules"));
    });
    archive(folder, path);
  });
}

/** The package as npm packs it, and the cases. Made anew each time. */
async function testedLayer(kernel: Kernel, folder: string): Promise<string> {
  const layer = join(folder, "tested");
  rmSync(layer, { recursive: true, force: true });
  const home = join(layer, "app/node_modules/prefault");
  mkdirSync(home, { recursive: true });
  const packed = command(
    "npm",
    ["pack", "--ignore-scripts", "--json", "--pack-destination", layer],
    {
      cwd: ROOT,
    },
  );
  const [{ filename } = { filename: "" }] = JSON.parse(packed) as { filename: string }[];
  command("tar", ["-xzf", join(layer, filename), "-C", home, "--strip-components=1"]);
  rmSync(join(layer, filename));
  await build({
    entryPoints: ["main", "child", "server"].map((name) =>
      join(ROOT, `test/kernels/guest/${name}.ts`),
    ),
    outdir: join(layer, "app"),
    outExtension: { ".js": ".mjs" },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: ["koffi", "prefault"],
    logLevel: "error",
  });
  await bundleRunner(join(layer, "app/conformance"));
  const model = join(layer, "app/model.gguf");
  await writeSyntheticModel({ kind: "moe", path: model, targetBytes: 16 * 1024 ** 2 });
  writeFileSync(join(layer, "app/kernel.json"), JSON.stringify(kernel));
  cpSync(join(ROOT, "test/kernels/guest/init"), join(layer, "init"));
  copyManifests(join(layer, "app/kubernetes"));
  const path = `${layer}.cpio`;
  archive(layer, path);
  return path;
}

/** The manifests of the example, as JSON. */
function copyManifests(folder: string): void {
  const manifests = join(ROOT, "examples/kubernetes");
  mkdirSync(folder);
  for (const name of readdirSync(manifests)) {
    const manifest: unknown = parse(readFileSync(join(manifests, name), "utf8"));
    writeFileSync(join(folder, `${basename(name, ".yaml")}.json`), JSON.stringify(manifest));
  }
}
