/**
 * Reads a mixture-of-experts model the way a decoder does for one token after another, in a process
 * of its own with a mapping of its own, and says how long each token's reading took.
 *
 * A token reads, of every layer, the attention and norm tensors, the router, and a few experts;
 * and the output head once. The choice of experts is seeded. Every byte of what is chosen is read.
 *
 *     node --import tsx bench/decode-reader.ts MODEL [TOKENS [SEED]]  →  {"tokensMs":[…],"minorFaults":…}
 */
import { loadShim } from "../shims/index.ts";
import { takeArena } from "../src/arena/arena.ts";
import { ARENA_BYTES, layOut, locate } from "../src/arena/layout.ts";
import { sharedBuffer } from "../src/control/arena-control.ts";
import { openFile } from "../src/file/open-file.ts";
import type { Model } from "../src/model/model.ts";
import { openModel } from "../src/model/open-model.ts";
import type { Range } from "../src/plan/range.ts";
import { pagesOf } from "../src/plan/range.ts";
import { rangesOfToken, seeded } from "./decode-ranges.ts";
import { sumBytes } from "./sum-bytes.ts";

const [path, tokens = "5", seed = "1"] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: decode-reader.ts MODEL [TOKENS [SEED]]");

const model = await openModel(path);
const read = await mapForReading(model);
const random = seeded(Number(seed));
const shim = await loadShim();
const before = shim.faults();
const tokensMs: number[] = [];
let sum = 0;
for (let token = 0; token < Number(tokens); token++) {
  const started = performance.now();
  for (const tensor of model.tensors) {
    for (const range of rangesOfToken(model, tensor, random)) sum += read(tensor.file, range);
  }
  tokensMs.push(performance.now() - started);
}
const after = shim.faults();
const minorFaults = after.minor - before.minor;
const majorFaults = after.major - before.major;
process.stdout.write(`${JSON.stringify({ tokensMs, minorFaults, majorFaults, sum })}\n`);

/** Lays the model's files into arenas; reading then sums a range's bytes, eight at a time. */
async function mapForReading(model: Model): Promise<(file: number, range: Range) => number> {
  const shim = await loadShim();
  const files = await Promise.all(model.files.map((file) => openFile(file.path)));
  const layout = layOut(
    files.map(({ byteLength }) => [pagesOf({ offset: 0, byteLength }, shim.pageBytes)]),
  );
  const arenas = Array.from({ length: layout.arenas }, () => takeArena(shim));
  for (const extent of layout.extents) {
    arenas[extent.arena]?.place(extent, files[extent.file]?.fd ?? -1);
  }
  // A mapping outlives the descriptor it was made from.
  await Promise.all(files.map(({ handle }) => handle.close()));
  const flatOf = (file: number, offset: number) => {
    const extent = layout.extents.findLast((each) => each.file === file && each.offset <= offset);
    if (extent === undefined) throw new RangeError(`nothing at ${offset}`);
    return extent.arena * ARENA_BYTES + extent.start + (offset - extent.offset);
  };
  return (file, { offset, byteLength }) => {
    let total = 0;
    for (let at = offset; at < offset + byteLength; ) {
      const flat = flatOf(file, at);
      const { extent } = locate(layout.extents, flat);
      const step = Math.min(offset + byteLength, extent.offset + extent.byteLength) - at;
      const arena = arenas[extent.arena];
      if (arena === undefined) throw new RangeError(`no arena ${extent.arena}`);
      total += sumBytes(sharedBuffer(arena.memory), (flat % ARENA_BYTES) + arena.alignOffset, step);
      at += step;
    }
    return total;
  };
}
