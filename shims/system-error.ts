/** A system call that failed: its name and arguments, and the name of the system's error. */
export class SystemError extends Error {
  /** Such as `"EFAULT"`. */
  readonly errno: string;

  constructor(call: string, errno: string) {
    super(`${call} failed with ${errno}`);
    this.name = "SystemError";
    this.errno = errno;
  }
}
