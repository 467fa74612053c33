import type { TensorResidency } from "../residency/residency.ts";
import { formatBytes, sumKnown } from "../units.ts";
import type { Paint } from "./paint.ts";
import { drawMap } from "./residency-map.ts";
import { columns, percent, plural, printable } from "./text.ts";

/** Up to here every tensor has a line of its own; a screen holds that much. */
const MOST_SINGLE = 24;
/** A block with more tensors than this (experts one by one) has several of them in a cell. */
const MOST_CELLS = 48;
/** Tensors outside of blocks that have a line. Real models have a handful; `--json` has them all. */
const MOST_LOOSE = 40;

/** `blk.12`, `model.layers.12`: the name up to its first number. */
const BLOCK = /^(.*?\.\d+)\./;

interface Row {
  readonly title: string;
  readonly tensors: TensorResidency[];
}

/** The residency of a model's tensors: a line a block, a cell a tensor. */
export function tensorLines(tensors: readonly TensorResidency[], paint: Paint): string[] {
  const isSmall = tensors.length <= MOST_SINGLE;
  const rows = isSmall ? tensors.map(loose) : blockRows(tensors);
  const cells = columns(
    rows.map(({ title, tensors }) => [
      `  ${printable(title)}`,
      tensors.length === 1 ? "" : plural(tensors.length, "tensor"),
      formatBytes(tensors.reduce((sum, { bytes }) => sum + bytes, 0)),
      share(tensors),
      drawMap(shares(tensors), paint),
    ]),
    4,
  );
  return [
    paint("bold", isSmall ? "tensors" : "tensors, a line a block, a cell a tensor"),
    ...cells,
  ];
}

/** In the order in which each block or loose tensor appears first. */
function blockRows(tensors: readonly TensorResidency[]): Row[] {
  const rows = new Map<string, Row>();
  let looseCount = 0;
  for (const tensor of tensors) {
    const block = BLOCK.exec(tensor.tensor)?.[1];
    if (block === undefined) looseCount++;
    const title = block ?? (looseCount > MOST_LOOSE ? "all others" : tensor.tensor);
    const row = rows.get(title);
    if (row === undefined) rows.set(title, { title, tensors: [tensor] });
    else row.tensors.push(tensor);
  }
  return [...rows.values()];
}

function loose(tensor: TensorResidency): Row {
  return { title: tensor.tensor, tensors: [tensor] };
}

function share(tensors: readonly TensorResidency[]): string {
  const resident = sumKnown(tensors.map(({ residentBytes }) => residentBytes));
  if (resident === null) return "unknown";
  return percent(
    resident,
    tensors.reduce((sum, { bytes }) => sum + bytes, 0),
  );
}

function shares(tensors: readonly TensorResidency[]): (number | null)[] {
  const cells = Math.min(tensors.length, MOST_CELLS);
  return Array.from({ length: cells }, (_, cell) => {
    const first = Math.floor((cell * tensors.length) / cells);
    const last = Math.floor(((cell + 1) * tensors.length) / cells);
    const within = tensors.slice(first, last);
    const resident = sumKnown(within.map(({ residentBytes }) => residentBytes));
    const bytes = within.reduce((sum, tensor) => sum + tensor.bytes, 0);
    return resident === null || bytes === 0 ? resident && 0 : resident / bytes;
  });
}
