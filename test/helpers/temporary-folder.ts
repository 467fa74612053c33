import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** A folder that lasts as long as the tests of the file or of the `describe` it is made in. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "prefault-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}
