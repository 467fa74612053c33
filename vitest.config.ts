import { pathToFileURL } from "node:url";
import { defineConfig } from "vitest/config";
import { leakingNames } from "./test/helpers/environment.ts";

// What the shell of whoever starts the tests says of a prefault is not meant for the tests.
for (const name of leakingNames(process.env)) delete process.env[name];

/** Electron's rule in every process and thread: no ArrayBuffer over memory that is not V8's own. */
const cage = `--import=${pathToFileURL("test/cage/preload.mjs")}`;

/**
 * Whatever takes an address in hand: the calls themselves, mapped and foreign memory, what a store
 * leaves, and what is resident. The rest of `native` and `pool` has no more ways to make a buffer.
 */
const HANDLES_MEMORY = [
  "test/native/*.test.ts",
  ...["address-regions", "callers-stores", "early-populate", "mapped-model*", "residency"].map(
    (name) => `test/pool/${name}.test.ts`,
  ),
];

const SECOND = 1000;

/** A group that loads the built package as a user does: by Node, untransformed, a file at a time. */
const built = (name: string, groupOrder: number, more: object = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    server: { deps: { external: [/\/dist\//] } },
    fileParallelism: false,
    testTimeout: 180 * SECOND,
    hookTimeout: 300 * SECOND,
    ...more,
    sequence: { groupOrder },
  },
});

/** For files that mostly wait: for the disk, for threads, for the command that they started. */
const twoAtATime = { fileParallelism: true, maxWorkers: 2 };

/** Shares one tarball, and one project that has it installed. */
const packed = { globalSetup: ["test/package/global-setup.ts"] };

/** Two cores are enough for two files at a time that wait for nothing but the processor. */
const unbuilt = (name: string, groupOrder: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    isolate: false,
    testTimeout: 60 * SECOND,
    sequence: { groupOrder },
  },
});

/** Only where it is asked for, by `npx vitest run --project NAME`. */
const onDemand = (group: ReturnType<typeof built>) =>
  process.argv.some((word) => word.replace("--project=", "") === group.test.name) ? [group] : [];

/**
 * Grouped by what they need. The groups run one after the other: many look at the page cache of the
 * whole machine. No group is tried again as a whole; `test/helpers/tolerance.ts` says which tests are.
 */
export default defineConfig({
  test: {
    projects: [
      unbuilt("pure", 0),
      unbuilt("native", 1),
      built("pool", 2, twoAtATime),
      built("conformance", 3),
      built("filesystems", 3),
      built("engine", 4),
      built("cage", 5, {
        include: ["test/cage/*.test.ts", ...HANDLES_MEMORY],
        execArgv: [cage],
        env: { NODE_OPTIONS: cage },
      }),
      built("robustness", 5),
      built("package", 6, { ...packed, ...twoAtATime }),
      built("examples", 7, packed),
      // Boots the kernels that the README names, each in QEMU: two to five minutes each.
      ...onDemand(built("kernels", 8, { hookTimeout: 1_200 * SECOND })),
      // Builds the image of the example, and runs it.
      ...onDemand(built("container", 8, packed)),
    ],
  },
});
