import assert from "node:assert/strict";
import { linkSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { Case } from "./case.ts";
import {
  BYTES,
  type Installation,
  MIB,
  quiet,
  wholePages,
  write,
  writeModel,
} from "./installation-under-test.ts";

/** A prefault that goes well. */
export const fillingCases: readonly Case<Installation>[] = [
  {
    name: "makes a file whole, and reports it",
    run: async (installation) => {
      const path = write(installation, "whole.bin");
      const lines: string[] = [];
      const options = { ...quiet, workers: 3, chunkBytes: MIB };
      const report = await installation.prefault.prefault(path, {
        ...options,
        log: (line) => lines.push(line),
      });
      assert.equal(report.error, undefined);
      assert.equal(report.ran, true);
      assert.equal(report.strategy, installation.canPopulate ? "populate" : "read");
      assert.ok((report.strategyReason?.length ?? 0) > 0);
      assert.equal(report.bytes, BYTES);
      assert.equal(report.regions, 1);
      assert.equal(report.chunks, 10);
      assert.equal(report.workers, 3);
      assert.ok(report.seconds > 0 && report.gibPerSecond > 0);
      assert.equal(report.untouchedBytes, 0);
      assert.ok(report.minorFaults >= 0 && report.majorFaults >= 0);
      assert.deepEqual(report.failures, []);
      const [line = ""] = lines;
      assert.match(line, /^\[prefault\] Pre-faulted 0\.01 GiB of CPU-resident weights in /);
    },
  },
  {
    name: "proves it where the system lets it, and says so where not",
    run: async (installation) => {
      const report = await installation.prefault.prefault(write(installation, "proof.bin"), quiet);
      const after = installation.shim === "portable" ? null : wholePages(BYTES);
      assert.equal(report.residentBytesAfter, after);
      assert.equal(report.files[0]?.residentBytesAfter, after);
      if (installation.shim !== "linux") assert.equal(report.residentBytesBefore, null);
    },
  },
  {
    name: "merges regions and fills each byte once",
    run: async (installation) => {
      const path = write(installation, "regions.bin");
      const report = await installation.prefault.prefault(
        [
          { path, offset: 5 * MIB + 77, byteLength: MIB },
          { path, offset: MIB, byteLength: 1 },
          { path, offset: 5 * MIB, byteLength: MIB },
        ],
        quiet,
      );
      assert.equal(report.error, undefined);
      assert.equal(report.bytes, MIB + 77 + 1);
      assert.equal(report.regions, 2);
    },
  },
  {
    name: "reaches beyond 4 GiB of a file",
    run: async (installation) => {
      const path = write(installation, "sparse.bin", 1);
      truncateSync(path, 5 * 1024 * MIB);
      const region = { path, offset: 4608 * MIB + 1, byteLength: 5 * MIB };
      const report = await installation.prefault.prefault([region], quiet);
      rmSync(path);
      assert.equal(report.error, undefined);
      assert.equal(report.bytes, 5 * MIB);
      if (installation.shim === "portable") return;
      assert.equal(report.residentBytesAfter, wholePages(5 * MIB + 1));
    },
  },
  {
    name: "fills in the way that is asked for, or says that it cannot",
    run: async (installation) => {
      const path = write(installation, "ways.bin");
      for (const strategy of ["read", "populate", "touch"] as const) {
        const report = await installation.prefault.prefault(path, { ...quiet, strategy });
        const { shim, canPopulate } = installation;
        const isPossible = { read: true, populate: canPopulate, touch: shim === "linux" }[strategy];
        assert.equal(report.error?.code, isPossible ? undefined : "PREFAULT_UNSUPPORTED");
        assert.equal(report.strategy, isPossible ? strategy : null);
      }
    },
  },
  {
    name: "counts a file with two names once",
    run: async (installation) => {
      const path = write(installation, "one-name.bin");
      const other = join(installation.folder, "other-name.bin");
      linkSync(path, other);
      const report = await installation.prefault.prefault([path, other], quiet);
      assert.equal(report.error, undefined);
      assert.equal(report.files.length, 1);
      assert.equal(report.bytes, BYTES);
    },
  },
  {
    name: "reads a model and fills it",
    run: async (installation) => {
      const model = await installation.prefault.openModel(
        writeModel(installation, "m.safetensors"),
      );
      assert.deepEqual(
        model.tensors.map(({ name, byteLength }) => [name, byteLength]),
        [["weights", BYTES]],
      );
      const report = await installation.prefault.prefault(model, quiet);
      assert.equal(report.error, undefined);
      assert.equal(report.ran, true);
    },
  },
  {
    name: "tells progress up to the end",
    run: async (installation) => {
      const seen: number[] = [];
      const path = write(installation, "progress.bin");
      const { error } = await installation.prefault.prefault(path, {
        ...quiet,
        onProgress: ({ bytesDone, bytesTotal }) => seen.push(bytesDone / bytesTotal),
      });
      assert.equal(error, undefined);
      assert.equal(seen.at(-1), 1);
      assert.deepEqual(
        seen,
        seen.toSorted((a, b) => a - b),
      );
    },
  },
  {
    name: "obeys the kill switch",
    run: async (installation) => {
      const path = write(installation, "switch.bin");
      const options = { log: () => {}, killSwitch: "PREFAULT_CONFORMANCE" };
      const set = (value: string) => {
        process.env[options.killSwitch] = value;
        return installation.prefault.prefault(path, options);
      };
      const off = await set("0");
      assert.deepEqual([off.ran, off.reason], [false, "disabled (PREFAULT_CONFORMANCE=0)"]);
      const forced = await set("1");
      assert.deepEqual([forced.ran, forced.reason], [true, "forced (PREFAULT_CONFORMANCE=1)"]);
      delete process.env[options.killSwitch];
    },
  },
  {
    name: "asks the gate what memory there is",
    run: async (installation) => {
      const path = write(installation, "gate.bin");
      for (const gate of ["fits-in-ram", "fits-in-free-ram"] as const) {
        const { ran, reason } = await installation.prefault.prefault(path, { ...quiet, gate });
        assert.deepEqual([ran, reason], [true, "auto"]);
      }
    },
  },
];
