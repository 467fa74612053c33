import { describe, expect, test } from "vitest";
import { parseOutput } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { runScript } from "./run-script.ts";

const ROUNDS = 500;

describe.skipIf(process.platform !== "linux")("a file that is cut off at random moments", () => {
  const folder = temporaryFolder();

  // In a process of its own: what is looked for is its death.
  test.each(["populate", "touch", "read"] as const)(
    "is swept or an error with a code, and no death, with strategy %s",
    async (strategy) => {
      const argument = { folder, rounds: ROUNDS, strategy, seed: 1 };
      const child = await runScript("shrink", argument, { timeoutMs: 170_000 });
      expect(child).toMatchObject({ code: 0, signal: null });
      const outcomes = parseOutput<Record<string, number>>(child);
      const { done = 0, PREFAULT_FILE_CHANGED: changed = 0, ...others } = outcomes;
      expect(others).toEqual({});
      expect(done + changed).toBe(ROUNDS);
      // Else the files were cut off before or after the sweeps, and nothing was tried.
      expect(changed).toBeGreaterThan(ROUNDS / 20);
      expect(done).toBeGreaterThan(0);
    },
  );
});
