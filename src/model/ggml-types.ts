/** The layout of a row of a tensor of one GGML type, in elements and bytes. */
interface Layout {
  readonly name: string;
  /** Elements of a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** Bytes before the blocks of each row, such as a scale of the whole row (`row_meta_size`). */
  readonly rowBytes: number;
  /** Bytes after the last row of a tensor. Some writers leave them out. */
  readonly tailBytes: number;
}

/**
 * Facts of the format: the block structs of ggml-common.h and the table in ggml.c (`type_traits`), of
 * llama.cpp first, then of its forks under numbers that llama.cpp does not use.
 */
const TYPES: ReadonlyMap<number, Layout> = new Map(
  (
    [
      [0, "F32", 1, 4],
      [1, "F16", 1, 2],
      [2, "Q4_0", 32, 18],
      [3, "Q4_1", 32, 20],
      [6, "Q5_0", 32, 22],
      [7, "Q5_1", 32, 24],
      [8, "Q8_0", 32, 34],
      [9, "Q8_1", 32, 36],
      [10, "Q2_K", 256, 84],
      [11, "Q3_K", 256, 110],
      [12, "Q4_K", 256, 144],
      [13, "Q5_K", 256, 176],
      [14, "Q6_K", 256, 210],
      [15, "Q8_K", 256, 292],
      [16, "IQ2_XXS", 256, 66],
      [17, "IQ2_XS", 256, 74],
      [18, "IQ3_XXS", 256, 98],
      [19, "IQ1_S", 256, 50],
      [20, "IQ4_NL", 32, 18],
      [21, "IQ3_S", 256, 110],
      [22, "IQ2_S", 256, 82],
      [23, "IQ4_XS", 256, 136],
      [24, "I8", 1, 1],
      [25, "I16", 1, 2],
      [26, "I32", 1, 4],
      [27, "I64", 1, 8],
      [28, "F64", 1, 8],
      [29, "IQ1_M", 256, 56],
      [30, "BF16", 1, 2],
      // Removed from llama.cpp in 2024; such files still exist.
      [31, "Q4_0_4_4", 32, 18],
      [32, "Q4_0_4_8", 32, 18],
      [33, "Q4_0_8_8", 32, 18],
      [34, "TQ1_0", 256, 54],
      [35, "TQ2_0", 256, 66],
      // bitnet.cpp: two bits an element, and one scale for the whole tensor after them.
      [36, "I2_S", 4, 1, 0, 32],
      [37, "IQ4_NL_4_8", 32, 18],
      [38, "IQ4_NL_8_8", 32, 18],
      [39, "MXFP4", 32, 17],
      [40, "NVFP4", 64, 36],
      [41, "Q1_0", 128, 18],
      [42, "Q2_0", 64, 18],
      // ik_llama.cpp
      [97, "Q8_0_X4", 32, 34],
      [98, "Q8_1_X4", 32, 36],
      [99, "Q8_2_X4", 32, 36],
      [133, "Q6_0", 32, 26],
      [134, "IQ1_BN", 64, 13, 2],
      [135, "IQ2_BN", 64, 16, 4],
      [136, "Q8_K64", 64, 68],
      [137, "IQ2_K", 256, 76],
      [138, "IQ3_K", 256, 110],
      [139, "IQ4_K", 256, 144],
      [140, "IQ5_K", 256, 176],
      [141, "IQ6_K", 256, 212],
      // PrismML's fork
      [142, "PQ2_0", 128, 34],
      [143, "PTQ1_0", 128, 28],
      // ik_llama.cpp again
      [144, "IQ4_KS", 256, 136, 4],
      [145, "IQ2_KS", 256, 70, 2],
      [146, "IQ4_KSS", 256, 128, 4],
      [147, "Q8_K16", 64, 64],
      [148, "Q8_K32", 256, 292],
      [149, "Q8_KR8", 256, 292],
      [150, "Q8_K128", 128, 140],
      [151, "Q8_KV", 32, 32, 8],
      [152, "IQ5_KS", 256, 168, 4],
      [153, "IQ2_KT", 256, 68, 4],
      [154, "IQ3_KT", 256, 100, 4],
      [155, "IQ4_KT", 256, 128, 4],
      [156, "IQ3_KS", 256, 102, 2],
      [157, "IQ2_KL", 256, 86, 2],
      [158, "IQ1_KT", 256, 56, 4],
      [202, "Q4_0_R8", 32, 18],
      [206, "Q5_0_R4", 32, 22],
      [208, "Q8_0_R8", 32, 34],
      [210, "Q2_K_R4", 256, 84],
      [211, "Q3_K_R4", 256, 110],
      [212, "Q4_K_R4", 256, 144],
      [213, "Q5_K_R4", 256, 176],
      [214, "Q6_K_R4", 256, 210],
      [216, "IQ2_XXS_R4", 256, 66],
      [217, "IQ2_XS_R4", 256, 74],
      [218, "IQ3_XXS_R4", 256, 98],
      [219, "IQ1_S_R4", 32, 6, 2],
      [220, "IQ4_NL_R4", 32, 18],
      [221, "IQ3_S_R4", 256, 110],
      [222, "IQ2_S_R4", 256, 82],
      [223, "IQ4_XS_R8", 256, 136],
      [229, "IQ1_M_R4", 32, 7, 2],
      [230, "BF16_R16", 1, 2],
      [233, "Q6_0_R4", 32, 26],
      [335, "IQ2_BN_R4", 64, 16, 4],
      [337, "IQ2_K_R4", 256, 76],
      [338, "IQ3_K_R4", 256, 110],
      [339, "IQ4_K_R4", 256, 144],
      [340, "IQ5_K_R4", 256, 176],
      [344, "IQ4_KS_R4", 256, 136, 4],
      [352, "IQ5_KS_R4", 256, 168, 4],
      [398, "Q8_KV_R8", 32, 32, 4],
      [399, "Q8_K_R8", 256, 258],
    ] as const
  ).map(([type, name, elements, bytes, rowBytes = 0, tailBytes = 0]) => [
    type,
    { name, elements, bytes, rowBytes, tailBytes },
  ]),
);

/** The last number that no fork has used for another type. */
const LAST_SETTLED = 30;

/** Such as `Q4_K`. */
export function ggmlTypeName(type: number): string {
  return TYPES.get(type)?.name ?? `type ${type}`;
}

/** Whether the number means the same type in llama.cpp and every fork of it. */
export function isSettled(type: number): boolean {
  return type <= LAST_SETTLED && TYPES.has(type);
}

/**
 * The least and the most bytes that a tensor can have; `undefined` for an unknown type. A row is padded
 * to whole blocks (`ggml_row_size`).
 */
export function ggmlByteLength(
  type: number,
  shape: readonly bigint[],
): { readonly least: bigint; readonly most: bigint } | undefined {
  const known = TYPES.get(type);
  if (known === undefined) return undefined;
  const { rowBytes, tailBytes } = known;
  const [elements, bytes] = [BigInt(known.elements), BigInt(known.bytes)];
  const [row = 1n, ...rows] = shape;
  const blocks = (row + elements - 1n) / elements;
  const least = rows.reduce((product, count) => product * count, blocks * bytes + BigInt(rowBytes));
  return { least, most: least + BigInt(tailBytes) };
}
