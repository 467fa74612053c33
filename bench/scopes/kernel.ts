import { statSync } from "node:fs";
import { open } from "node:fs/promises";
import koffi from "koffi";
import { Bench as Tinybench } from "tinybench";
import { loadShim } from "../../shims/index.ts";
import { returnArena, takeArena } from "../../src/arena/arena.ts";
import { layOut } from "../../src/arena/layout.ts";
import { bindKernels } from "../../src/kernels/kernels.ts";
import { gibPerSecond } from "../../src/units.ts";
import type { Scope } from "../bench.ts";
import { type Column, medianOf, ratio, type Sample } from "../result.ts";
import { interleave } from "../rounds.ts";

const MOST_BYTES = 1024 ** 3;
const COLUMNS: readonly Column[] = [
  { key: "gibPerSecond", title: "GiB/s", digits: 1 },
  { key: "nsPerPage", title: "ns a page" },
];
const WASM = "WASM kernel";
const C = "C, cc -O2";

export const kernel: Scope = {
  name: "kernel",
  compares:
    "The WASM touch kernel and the same loop in C, over the same mapped addresses in the same " +
    "thread: a resident file whose page tables are filled. Calls are timed by tinybench after a " +
    "warm-up; a round's figure is the median call.",
  wrongWhen: [
    "the page tables are not filled (both touch everything once before they are timed)",
    "V8 has not compiled the kernel with its optimising tier (the warm-up lasts 300 ms)",
    "the C loop is called through something slow (the call costs about 100 ns of milliseconds)",
  ],
  async run({ subjects, settings, tools, say }) {
    const path = await subjects.file(settings.bytes);
    const byteLength = Math.min(MOST_BYTES, statSync(path).size);
    const shim = await loadShim();
    const [extent] = layOut([[{ offset: 0, byteLength }]]).extents;
    const handle = await open(path);
    const arena = takeArena(shim);
    try {
      if (extent === undefined) throw new RangeError("nothing to lay out");
      arena.place(extent, handle.fd);
      const start = extent.start + arena.alignOffset;
      const kernels = bindKernels(arena.memory);
      const wasm = () => void kernels.touch_pages(start, byteLength, shim.pageBytes);
      const loop = tools.missing === undefined ? bindLoop(tools.path("touch-pages")) : () => 0;
      const native = () => void loop(arena.base + BigInt(start), byteLength, shim.pageBytes);
      const pages = byteLength / shim.pageBytes;
      wasm();
      native();
      const rows = await interleave(
        [
          { name: WASM, run: () => time(wasm, byteLength, pages) },
          { name: C, run: () => time(native, byteLength, pages), skipped: tools.missing },
        ],
        Math.max(settings.rounds, 5),
        say,
      );
      const rate = (name: string) => medianOf(rows, name, "gibPerSecond");
      return {
        tables: [{ id: "kernel", title: "One worker", columns: COLUMNS, rows, moreIsBetter: true }],
        checks: [
          {
            what: "WASM kernel, of the loop in C",
            value: ratio(rate(WASM), rate(C)),
            atLeast: 0.8,
          },
        ],
      };
    } finally {
      returnArena(arena);
      await handle.close();
    }
  },
};

type Loop = (at: bigint, byteLength: number, pageBytes: number) => number;

/** An address, not a buffer: the loop gets exactly the pages the kernel does. */
function bindLoop(library: string): Loop {
  const signature = "uint32_t touch_pages(const void *at, size_t length, size_t page)";
  return koffi.load(`${process.cwd()}/${library}`).func(signature) as unknown as Loop;
}

async function time(call: () => void, byteLength: number, pages: number): Promise<Sample> {
  const bench = new Tinybench({ time: 300, warmupTime: 300, throws: true });
  bench.add("call", call);
  await bench.run();
  const result = bench.tasks[0]?.result;
  if (result?.state !== "completed") throw new Error(`tinybench: ${result?.state}`);
  const ms = result.latency.p50;
  return { gibPerSecond: gibPerSecond(byteLength, ms / 1000), nsPerPage: (ms * 1e6) / pages };
}
