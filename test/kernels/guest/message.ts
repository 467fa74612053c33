/** What the guest writes to its console, a line each, behind the mark. */
export interface Message {
  readonly case: string;
  readonly ok: boolean;
  readonly seconds: number;
  /** Why it did not run; `ok` is true then. */
  readonly skipped?: string;
  /** What was seen, or the failure. */
  readonly detail?: unknown;
}

export const MARK = "@prefault ";
