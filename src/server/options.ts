import { describeValue } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import type { Profile } from "../experts/profile.ts";
import type { PrefaultOptions } from "../options.ts";

/** How to warm beside a server: the options of `prefault`, and when, how long, and by what. */
export interface ServerOptions extends Omit<PrefaultOptions, "onError" | "profile"> {
  /**
   * A URL that answers 200 when the server has read its model. Warming waits for it.
   *
   * @defaultValue `/health` at the address that the command line gives, and only where a part of the model
   *   is warmed: what fits as a whole is warmed at once, beside the load
   */
  readonly after?: string | URL | undefined;

  /**
   * Holds in memory what was warmed, until the session is closed: as much as the limit on locked memory
   * allows, what every token reads first.
   *
   * @defaultValue `false`: the limit is 8 MiB on most systems, and what is locked nobody else can use
   */
  readonly lock?: boolean | undefined;

  /**
   * How often each routed expert is chosen, as `prefault` takes it. `"auto"` uses what was recorded at
   * earlier starts, and records while the server works: in a file of the user's state folder, one for each
   * model.
   */
  readonly profile?: string | Profile | undefined;
}

/** The URL of {@link ServerOptions.after}. @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` */
export function afterUrl({ after }: ServerOptions): URL | undefined {
  if (after === undefined) return undefined;
  const text = String(after);
  if (URL.canParse(text)) {
    const url = new URL(text);
    if (/^https?:$/.test(url.protocol)) return url;
  }
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `after must be an http: or https: URL, got ${describeValue(text)}`,
  );
}
