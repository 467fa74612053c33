/** Reads every byte of a range, eight at a time, like a decoder that computes nothing. */
export function sumBytes(buffer: ArrayBufferLike, start: number, byteLength: number): number {
  const aligned = Math.ceil(start / 8) * 8;
  const longs = new Float64Array(buffer, aligned, Math.max(0, (start + byteLength - aligned) >> 3));
  // Four sums that do not wait for one another.
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let index = 0; index + 3 < longs.length; index += 4) {
    a += longs[index] ?? 0;
    b += longs[index + 1] ?? 0;
    c += longs[index + 2] ?? 0;
    d += longs[index + 3] ?? 0;
  }
  return a + b + c + d;
}
