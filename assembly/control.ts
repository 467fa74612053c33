/**
 * The control page: the first page of every memory that takes part in a sweep. The kernels use the
 * two words below; `src/control.ts` names the rest.
 *
 * ```
 *   +0   u32  cancel     not 0: stop at the next look
 *   +8   u64  progress   bytes touched so far, by all lanes together
 * ```
 */

export const CANCEL: usize = 0;

export const PROGRESS: usize = 8;

/**
 * Pages between two looks at the cancel word. A page that is not resident can take milliseconds, so
 * the look has to be frequent; 64 resident pages take about 200 ns, next to which it costs nothing.
 */
export const POLL_PAGES: u32 = 64;
