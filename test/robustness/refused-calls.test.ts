import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { fincore, writeDataFile } from "../helpers/data-file.ts";
import { parseOutput } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { runScript } from "./run-script.ts";

const MIB = 1024 ** 2;
const BYTES = 8 * MIB;
const MADV_POPULATE_READ = 22;
const [EPERM, EIO, EINVAL, ENOSYS] = [1, 5, 22, 38];

/** asm/unistd_64.h of x86-64, and the table that all newer architectures share. */
const NUMBERS = {
  x64: { cachestat: 451, mincore: 27, madvise: 28, fadvise64: 221, fdatasync: 75, fcntl: 72 },
  arm64: { cachestat: 451, mincore: 232, madvise: 233, fadvise64: 223, fdatasync: 83, fcntl: 25 },
} as const;
const MORE = {
  x64: { getrusage: 98, statfs: 137, fstatfs: 138 },
  arm64: { getrusage: 165, statfs: 43, fstatfs: 44 },
} as const;

type Call = keyof (typeof NUMBERS)["x64"] | keyof (typeof MORE)["x64"];

interface Ended {
  /** Bytes left, or an error's code. */
  readonly evicted: number | string | null;
  readonly ran: boolean;
  readonly error: string | null;
  readonly strategy: string;
  readonly bytes: number;
  readonly residentBytesAfter: number | null;
  readonly resident: number | string | null;
}

const arch = process.arch === "arm64" ? "arm64" : "x64";
const numberOf = (call: Call): number => ({ ...NUMBERS[arch], ...MORE[arch] })[call];

describe.skipIf(process.platform !== "linux")("where the system refuses", () => {
  const folder = temporaryFolder();
  const program = join(folder, "refuse-calls");
  let why = "";

  beforeAll(() => {
    const source = join(import.meta.dirname, "fixtures/refuse-calls.c");
    const built = spawnSync("cc", ["-o", program, source], { encoding: "utf8" });
    if (built.status !== 0) why = `cc: ${built.stderr ?? built.error}`;
    else if (spawnSync(program, ["9999:1", "true"]).status !== 0) why = "seccomp is not to be had";
  });

  async function run(
    refused: Partial<Record<Call, number | string>>,
    skip: (why: string) => never,
    strategy = "auto",
  ): Promise<Ended> {
    if (why !== "") skip(why);
    const path = writeDataFile(join(folder, "file"), BYTES);
    execFileSync("sync", ["-f", path]);
    const rules = Object.entries(refused).map(
      ([call, error]) => `${numberOf(call as Call)}:${error}`,
    );
    const before = [program, rules.join(",")];
    const child = await runScript("refused", { path, strategy }, { before });
    const ended = parseOutput<Ended>(child);
    const { ran, error } = ended;
    // Whatever could not be measured, the file was filled.
    expect({ ran, error }).toEqual({ ran: true, error: null });
    expect(fincore(path)).toBeGreaterThan(mostOf(BYTES));
    return ended;
  }

  test.for([EPERM, ENOSYS])(
    "cachestat with errno %i, mincore tells what is resident",
    looksAtPageCache,
    async (errno, { skip }) => {
      const ended = await run({ cachestat: errno }, skip);
      expect(ended.evicted).toBeLessThan(BYTES - mostOf(BYTES));
      expect(ended.residentBytesAfter).toBeGreaterThan(mostOf(BYTES));
      expect(ended.resident).toBeGreaterThan(mostOf(BYTES));
    },
  );

  test.for(
    [EPERM, ENOSYS].flatMap((errno) =>
      (["auto", "populate", "touch", "read"] as const).map((each) => [errno, each] as const),
    ),
  )(
    "cachestat and mincore with errno %i, residency is null and nothing fails: %s",
    async ([errno, strategy], { skip }) => {
      const ended = await run({ cachestat: errno, mincore: errno }, skip, strategy);
      expect(ended).toMatchObject({ evicted: null, residentBytesAfter: null, resident: null });
    },
  );

  test.for([EPERM, ENOSYS, EINVAL])(
    "to populate with errno %i, the file is read",
    async (errno, { skip }) => {
      const ended = await run({ madvise: `${errno}:${MADV_POPULATE_READ}` }, skip);
      expect(ended.strategy).toBe("read");
    },
  );

  test(
    "to write back, what is not dirty is evicted all the same",
    looksAtPageCache,
    async ({ skip }) => {
      for (const errno of [EPERM, EIO, EINVAL, ENOSYS]) {
        const { evicted } = await run({ fdatasync: errno }, skip);
        expect(evicted, `${errno}`).toBeLessThan(BYTES - mostOf(BYTES));
      }
    },
  );

  test("to drop pages, evict alone fails, by its code", async ({ skip }) => {
    const { evicted } = await run({ fadvise64: EPERM }, skip);
    expect(evicted).toBe("PREFAULT_UNSUPPORTED");
  });

  test("to say what file system it is, or to count faults, nothing fails", async ({ skip }) => {
    await run({ statfs: EPERM, fstatfs: EPERM }, skip);
    await run({ getrusage: EPERM }, skip);
    await run({ getrusage: ENOSYS }, skip, "touch");
  });
});
