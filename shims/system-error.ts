/** A system call that failed: which, on what, and the system's own name for the reason. */
export class SystemError extends Error {
  /** Such as `"EFAULT"`. */
  readonly errno: string;

  constructor(call: string, errno: string) {
    super(`${call} failed with ${errno}`);
    this.name = "SystemError";
    this.errno = errno;
  }
}
