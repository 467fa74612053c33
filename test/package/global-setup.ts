import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** Shared by the files of the group for one run; whoever needs the tarball first makes it. */
    readonly packageFolder: string;
  }
}

export default function setup({ provide }: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "prefault-package-"));
  provide("packageFolder", folder);
  return () => rmSync(folder, { recursive: true, force: true });
}
