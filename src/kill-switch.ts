/**
 * The environment variables that turn a prefault off (`0`) or force it (`1`). The first is the
 * package's own name; the second is the one the reference implementation uses.
 */
const KILL_SWITCHES = ["PREFAULT", "SHARPI_PREFAULT"] as const;

/** The setting of the environment, and the variable that has it. */
export interface KillSwitch {
  /** `"0"` never, `"1"` force, `undefined` when the environment leaves the decision to the gate. */
  readonly mode: "0" | "1" | undefined;
  /** The variable that decided, for the reason that a report gives. */
  readonly name: string;
}

/**
 * Reads the kill switch. No other code reads it.
 *
 * `0` in either of {@link KILL_SWITCHES} wins over `1` in the other. An embedder's own variable replaces
 * both, so that an application has exactly the switch that it documents, and no variable of another
 * program affects it.
 *
 * @param own name of the embedder's variable; @defaultValue both of {@link KILL_SWITCHES}
 */
export function killSwitch(own?: string): KillSwitch {
  const names = own === undefined ? KILL_SWITCHES : [own];
  for (const mode of ["0", "1"] as const) {
    const name = names.find((each) => process.env[each] === mode);
    if (name !== undefined) return { mode, name };
  }
  return { mode: undefined, name: own ?? "SHARPI_PREFAULT" };
}

/** The reason not to run; `undefined` unless the switch is `0`. */
export function disabledReason(own?: string): string | undefined {
  const { mode, name } = killSwitch(own);
  return mode === "0" ? `disabled (${name}=0)` : undefined;
}
