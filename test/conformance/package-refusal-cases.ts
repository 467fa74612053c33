import assert from "node:assert/strict";
import { mkdirSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { Case } from "./case.ts";
import {
  BYTES,
  codeOf,
  type Installation,
  MIB,
  quiet,
  write,
  writeModel,
} from "./installation-under-test.ts";

/** What stops it, what it leaves behind, and what a system may refuse. */
export const refusalCases: readonly Case<Installation>[] = [
  {
    name: "stops when it is aborted, before and while it runs",
    run: async (installation) => {
      const path = write(installation, "abort.bin", 64 * MIB);
      const aborted = { signal: AbortSignal.abort() };
      assert.equal(await codeOf(installation, path, aborted), "PREFAULT_ABORTED");
      const controller = new AbortController();
      const running = codeOf(installation, path, { signal: controller.signal, chunkBytes: 65_536 });
      setImmediate(() => controller.abort());
      assert.equal(await running, "PREFAULT_ABORTED");
      const again = await installation.prefault.prefault(path, quiet);
      assert.equal(again.error, undefined);
    },
  },
  {
    name: "has a code for what is absent, truncated, denied or beside the file",
    run: async (installation) => {
      const absent = join(installation.folder, "absent.gguf");
      assert.equal(await codeOf(installation, absent), "PREFAULT_NOT_FOUND");
      assert.equal(await codeOf(installation, `${installation.folder}/none`), "PREFAULT_NOT_FOUND");

      const truncated = writeModel(installation, "truncated.safetensors");
      truncateSync(truncated, MIB);
      assert.equal(await codeOf(installation, truncated), "PREFAULT_INVALID_MODEL");

      const path = write(installation, "beside.bin");
      const beside = [{ path, offset: BYTES, byteLength: 1 }];
      assert.equal(await codeOf(installation, beside), "PREFAULT_INVALID_OPTION");

      const denied = write(installation, "denied.bin");
      const allow = await installation.deny(denied);
      if (allow === null) return;
      const code = await codeOf(installation, denied);
      allow();
      assert.equal(code, "PREFAULT_PERMISSION");
    },
  },
  {
    name: "leaves no mapping and no descriptor behind",
    run: async (installation) => {
      const path = write(installation, "left.bin");
      await installation.prefault.prefault(path, quiet);
      await installation.prefault.residency(path);
      // Windows refuses both while a view or a handle is left.
      truncateSync(path, 1);
      rmSync(path);
    },
  },
  {
    name: "works on long names, with spaces and letters of any script",
    run: async (installation) => {
      const folder = join(
        installation.folder,
        "ein größerer Ordner",
        "模型".repeat(30),
        "x".repeat(180),
      );
      mkdirSync(folder, { recursive: true });
      const path = write({ ...installation, folder }, "вес 0.bin");
      const report = await installation.prefault.prefault(path, quiet);
      assert.equal(report.error, undefined);
      assert.equal(report.files[0]?.path, path);
    },
  },
  {
    name: "evicts, or says that it cannot",
    run: async (installation) => {
      const path = write(installation, "evict.bin");
      const evicted = installation.prefault.evict(path);
      if (installation.shim === "linux") {
        assert.equal((await evicted).residentBytesAfter, 0);
      } else {
        await assert.rejects(evicted, { code: "PREFAULT_UNSUPPORTED" });
      }
    },
  },
  {
    name: "maps a model without a copy, or refuses and offers the copy",
    run: async (installation) => {
      const { mapModel } = installation.prefault;
      const path = writeModel(installation, "mapped.safetensors");
      if (installation.shim !== "linux") {
        await assert.rejects(mapModel(path), { code: "PREFAULT_UNSUPPORTED" });
      }
      const model = await mapModel(path, { copy: installation.shim !== "linux" });
      try {
        const [view] = model.tensor("weights").views;
        assert.equal(Buffer.from(view?.slice(0, 7) ?? []).toString(), "weights");
      } finally {
        await model.close();
      }
    },
  },
  {
    name: "fills memory somebody else mapped, or refuses",
    run: async (installation) => {
      const memory = new SharedArrayBuffer(4 * MIB);
      if (!installation.canPopulate) {
        const region = { address: 65_536n, byteLength: 65_536 };
        assert.equal(await codeOf(installation, [region]), "PREFAULT_UNSUPPORTED");
        return;
      }
      const { default: koffi } = await import("koffi");
      const address = koffi.address(new Uint8Array(memory)) as bigint;
      const regions = [{ address, byteLength: memory.byteLength }];
      const report = await installation.prefault.prefault(regions, quiet);
      assert.equal(report.error, undefined);
      assert.equal(report.ran, true);
      assert.ok((report.residentBytesAfter ?? 0) >= memory.byteLength);
    },
  },
];
