/** One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)). */
export interface Mount {
  readonly id: number;
  /** The folder of the file system that is mounted at {@link Mount.point}. */
  readonly root: string;
  readonly point: string;
  /** Such as `ext4` or `cgroup2`. */
  readonly type: string;
  /** Such as `/dev/sda1`; a name of the file system's choice where there is no device. */
  readonly source: string;
  /** Of the file system as a whole, such as `rw` or `lowerdir=/a:/b`. */
  readonly options: readonly string[];
}

/**
 * `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`: between the
 * sixth field and the dash there may be further fields.
 */
const LINE = /^(\d+) \d+ \S+ (\S+) (\S+) \S+ (?:\S+ )*?- (\S+) (\S+)(?: (\S+))?$/;

/** Lines that cannot be read are left out. */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [, id, root, point, type, source, options = ""] = LINE.exec(line) ?? [];
    if (id === undefined || root === undefined || point === undefined) return [];
    if (type === undefined || source === undefined) return [];
    return [
      {
        id: Number(id),
        root: unescapeOctal(root),
        point: unescapeOctal(point),
        type,
        source: unescapeOctal(source),
        options: unescapeOctal(options).split(","),
      },
    ];
  });
}

/** The mount that a path without symbolic links lies in: the deepest, and of those the newest. */
export function mountOfPath(mounts: readonly Mount[], path: string): Mount | undefined {
  return mounts
    .filter(({ point }) => point === "/" || path === point || path.startsWith(`${point}/`))
    .reduce<Mount | undefined>(
      (best, each) => (best && best.point.length > each.point.length ? best : each),
      undefined,
    );
}

/** Blanks and backslashes are written as octal numbers: `\040`. */
function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
