/**
 * The control page: the first page of every arena. The kernels use the two words below, and
 * `src/control/arena-control.ts` sets and reads them.
 *
 * ```
 *   +0   u32  cancel     not 0: the kernel returns at its next check
 *   +8   u64  progress   bytes touched so far, by all workers together
 * ```
 */

export const CANCEL: usize = 0;

export const PROGRESS: usize = 8;

/**
 * Pages between two checks of the cancel word. A page that is not resident can take milliseconds, so
 * the checks are frequent. 64 resident pages take about 200 ns, and a check costs little beside that.
 */
export const POLL_PAGES: u32 = 64;
