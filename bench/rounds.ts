import type { Row, Sample } from "./result.ts";

/** Something that is measured once a round. */
export interface Contender {
  readonly name: string;
  readonly run: (round: number) => Promise<Sample>;
  /** Why it cannot run here. */
  readonly skipped?: string | undefined;
}

/**
 * Runs the contenders in turns, each once a round, so that a drift of the machine (a noisy disk, a warm
 * processor) affects all of them. Every round starts with another contender, so that none always runs
 * after the same one.
 *
 * One that fails is left out from then on, with the reason as its result.
 */
export async function interleave(
  contenders: readonly Contender[],
  rounds: number,
  say: (line: string) => void,
): Promise<Row[]> {
  const rows = contenders.map(({ name, skipped }) => {
    return { name, samples: [] as Sample[], ...(skipped !== undefined && { skipped }) };
  });
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (turn + round) % contenders.length;
      const contender = contenders[index];
      const row = rows[index];
      if (contender === undefined || row === undefined || row.skipped !== undefined) continue;
      try {
        const sample = await contender.run(round);
        row.samples.push(sample);
        say(`  ${round + 1}/${rounds} ${contender.name}: ${brief(sample)}`);
      } catch (error) {
        row.skipped = `failed: ${error instanceof Error ? error.message : String(error)}`;
        say(`  ${round + 1}/${rounds} ${contender.name}: ${row.skipped}`);
      }
    }
  }
  return rows;
}

function brief(sample: Sample): string {
  return Object.entries(sample)
    .map(([key, value]) => `${key} ${Number(value.toPrecision(4))}`)
    .join(", ");
}
