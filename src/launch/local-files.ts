import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { errnoOf } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import { exists } from "../file/exists.ts";
import type { CommandLine } from "./command-line.ts";
import type { Mount } from "./containers.ts";
import { usage } from "./given.ts";

/** Finds on this machine the files that a command line names. */
export class LocalFiles {
  readonly #line: CommandLine;

  constructor(line: CommandLine) {
    this.#line = line;
  }

  /** The path on this machine of a path of the line, also of one in a container; `undefined` without a file. */
  async find(path: string): Promise<string | undefined> {
    const { mounts, folder } = this.#line;
    // Relative to the working directory of the container, which is the root in most images.
    const inside = path.startsWith("/") ? path : join(folder ?? "/", path);
    const outside = [inside, join("/", path)].map((each) => hostPath(each, mounts));
    for (const place of [this.inFolder(path), ...outside]) if (await exists(place)) return place;
    return undefined;
  }

  async has(path: string): Promise<boolean> {
    return (await this.find(path)) !== undefined;
  }

  /** A path relative to the folder that the line changes to. */
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
      const errno = errnoOf(cause);
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

/** The path on the host of a path in a container, by the longest mount that contains it. */
export function hostPath(path: string, mounts: readonly Mount[]): string {
  const fitting = mounts
    .filter(({ container }) => `${path}/`.startsWith(`${container.replace(/\/$/, "")}/`))
    .sort((one, other) => other.container.length - one.container.length)[0];
  if (fitting === undefined) return path;
  return join(fitting.host, path.slice(fitting.container.replace(/\/$/, "").length));
}
