import { access, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { PrefaultError } from "../errors.ts";
import type { CommandLine } from "./command-line.ts";
import type { Mount } from "./containers.ts";
import { usage } from "./read-options.ts";

/** Files as a line names them, found where they are on this machine. */
export class LocalFiles {
  readonly #line: CommandLine;

  constructor(line: CommandLine) {
    this.#line = line;
  }

  /** Where a path of the line leads, also from inside a container; `undefined` when nowhere. */
  async find(path: string): Promise<string | undefined> {
    const { mounts, folder } = this.#line;
    // Relative to where the container starts, which most images leave at the root.
    const inside = path.startsWith("/") ? path : join(folder ?? "/", path);
    const outside = [inside, join("/", path)].map((each) => hostPath(each, mounts));
    for (const place of [this.inFolder(path), ...outside]) if (await exists(place)) return place;
    return undefined;
  }

  async has(path: string): Promise<boolean> {
    return (await this.find(path)) !== undefined;
  }

  /** Relative to the folder that the line changes to. */
  inFolder(path: string): string {
    const { folder, hidesEnvironment } = this.#line;
    return folder === undefined || hidesEnvironment ? path : resolve(folder, path);
  }

  /** @throws {@link PrefaultError} `PREFAULT_NOT_FOUND`, `PREFAULT_READ_FAILED` */
  async text(path: string): Promise<string> {
    const local = (await this.find(path)) ?? path;
    try {
      return await readFile(local, "utf8");
    } catch (cause) {
      const errno = (cause as NodeJS.ErrnoException).code;
      throw new PrefaultError(
        errno === "ENOENT" ? "PREFAULT_NOT_FOUND" : "PREFAULT_READ_FAILED",
        `${path} of the command line cannot be read: ${errno ?? String(cause)}`,
        { path, errno, cause },
      );
    }
  }

  /** @throws as {@link text}, and `PREFAULT_INVALID_OPTION` for what is no JSON object */
  async json(path: string): Promise<Record<string, unknown>> {
    const text = await this.text(path);
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (cause) {
      throw usage(`${path} is no JSON`, cause);
    }
    if (typeof parsed === "object" && parsed !== null) return parsed as Record<string, unknown>;
    throw usage(`${path} holds no settings`);
  }
}

/** Where a path of a container lies on the host, by the mount that fits it best. */
export function hostPath(path: string, mounts: readonly Mount[]): string {
  const fitting = mounts
    .filter(({ container }) => `${path}/`.startsWith(`${container.replace(/\/$/, "")}/`))
    .sort((one, other) => other.container.length - one.container.length)[0];
  if (fitting === undefined) return path;
  return join(fitting.host, path.slice(fitting.container.replace(/\/$/, "").length));
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
