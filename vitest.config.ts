import { pathToFileURL } from "node:url";
import { defineConfig } from "vitest/config";

/** The built package, loaded as a user loads it: by Node, untransformed. */
const built = { server: { deps: { external: [/\/dist\//] } } };

/** Electron's rule in every process and thread: no ArrayBuffer over memory that is not V8's own. */
const cage = `--import=${pathToFileURL("test/cage/preload.mjs")}`;

/**
 * For groups that look at the page cache: the kernel takes pages away when it likes, and under a
 * test's hands now and then more than its tolerance. A second look tells that from a defect.
 */
const looksAtPageCache = { retry: 2 };

/**
 * Boots the kernels that the README names, each in QEMU: a quarter of an hour. Only where it is asked
 * for, by `npx vitest run --project kernels`.
 */
const kernels = process.argv.some((argument) => /^(--project=)?kernels$/.test(argument))
  ? [
      {
        test: {
          name: "kernels",
          include: ["test/kernels/**/*.test.ts"],
          ...built,
          fileParallelism: false,
          hookTimeout: 1_200_000,
          sequence: { groupOrder: 7 },
        },
      },
    ]
  : [];

/**
 * Grouped by what they need. The groups run one after the other: those of `pool` look at the page
 * cache of the whole machine.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "pure",
          include: ["test/pure/**/*.test.ts"],
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "native",
          ...looksAtPageCache,
          include: ["test/native/**/*.test.ts"],
          testTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "pool",
          ...looksAtPageCache,
          include: ["test/pool/**/*.test.ts"],
          ...built,
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "conformance",
          ...looksAtPageCache,
          include: ["test/conformance/**/*.test.ts"],
          ...built,
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: "filesystems",
          ...looksAtPageCache,
          include: ["test/filesystems/**/*.test.ts"],
          ...built,
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: "engine",
          ...looksAtPageCache,
          include: ["test/engine/**/*.test.ts"],
          ...built,
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 4 },
        },
      },
      {
        test: {
          name: "cage",
          ...looksAtPageCache,
          include: ["test/cage/**/*.test.ts", "test/native/**/*.test.ts", "test/pool/**/*.test.ts"],
          ...built,
          execArgv: [cage],
          env: { NODE_OPTIONS: cage },
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 5 },
        },
      },
      {
        test: {
          name: "robustness",
          ...looksAtPageCache,
          include: ["test/robustness/**/*.test.ts"],
          ...built,
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 5 },
        },
      },
      {
        test: {
          name: "package",
          ...looksAtPageCache,
          include: ["test/package/**/*.test.ts"],
          globalSetup: ["test/package/global-setup.ts"],
          ...built,
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 6 },
        },
      },
      ...kernels,
    ],
  },
});
