import type { Result } from "./result.ts";

/** 128 and the signal's number, as a shell reports it. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

type Interrupt = keyof typeof EXIT_CODES;

export interface Interrupts {
  /** Fires at the first interrupt. */
  readonly signal: AbortSignal;
  /** What the process should exit with after a result, whose own code counts where nothing interrupted it. */
  exitCodeAfter(own: number, result: Pick<Result, "endsOnInterrupt">): number;
  /** Gives the signals their usual meaning back. */
  release(): void;
}

/** Turns the first Ctrl-C into an abort. The second has its usual meaning: it ends the process. */
export function catchInterrupts(): Interrupts {
  const controller = new AbortController();
  const names = Object.keys(EXIT_CODES) as Interrupt[];
  let interrupted: Interrupt | undefined;
  const interrupt = (name: Interrupt) => {
    release();
    interrupted = name;
    controller.abort();
  };
  const release = () => {
    for (const name of names) process.off(name, interrupt);
  };
  for (const name of names) process.on(name, interrupt);
  return {
    signal: controller.signal,
    release,
    exitCodeAfter(own, { endsOnInterrupt }) {
      if (interrupted === undefined || endsOnInterrupt?.includes(interrupted)) return own;
      return EXIT_CODES[interrupted];
    },
  };
}
