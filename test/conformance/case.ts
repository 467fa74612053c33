/** A test as a plain function: it runs under vitest, and on a Node on which vitest does not run. */
export interface Case<Context> {
  readonly name: string;
  run(context: Context): void | Promise<void>;
}

/** What became of a case. */
export interface Outcome {
  readonly name: string;
  /** The failure, stack and all; absent when it passed. */
  readonly failure?: string;
}

/** Runs cases one after the other. */
export async function runCases<Context>(
  cases: readonly Case<Context>[],
  context: Context,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { name, run } of cases) {
    try {
      await run(context);
      outcomes.push({ name });
    } catch (error) {
      const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
      outcomes.push({ name, failure });
    }
  }
  return outcomes;
}
