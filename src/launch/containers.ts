import { programName } from "./engines.ts";
import type { Environment } from "./shell-words.ts";

/** A folder of the host that is mounted in a container. */
export interface Mount {
  readonly host: string;
  readonly container: string;
}

/** The options of `docker run` and similar commands, and the command that runs inside. */
export interface Container {
  readonly image: string;
  /** `--entrypoint`. */
  readonly entrypoint: string | undefined;
  /** The words after the image. */
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** `--env-file`, in order. */
  readonly envFiles: readonly string[];
  readonly mounts: readonly Mount[];
  /** `-w`. */
  readonly folder: string | undefined;
}

/** Flags of `docker run`, `podman run` and `nerdctl run` without a value. All others take one. */
const BARE = new Set(
  (
    "--detach --interactive --tty --rm --privileged --init --publish-all --read-only --replace --rmi " +
    "--no-healthcheck --quiet --oom-kill-disable --sig-proxy --disable-content-trust --no-hosts " +
    "--env-host --http-proxy --passwd --no-hostname --tls-verify --help"
  ).split(" "),
);
const BARE_LETTERS = /^-[ditPq]+$/;
/** `-eNAME=VALUE`: the value may follow its letter directly. */
const GLUED = /^-([evpwumchlaE])(.+)$/;

/**
 * Reads a `docker run`, `create` or `exec` line.
 *
 * @param words from the program's name on
 * @param callerEnv gives the value of `-e NAME` without a value
 * @returns `undefined` for any other line, also for other commands of docker
 */
export function readContainer(
  words: readonly string[],
  callerEnv: Environment,
): Container | undefined {
  if (!isContainerTool(words[0] ?? "")) return undefined;
  const verb = words[1] === "container" ? 2 : 1;
  if (!["run", "create", "exec"].includes(words[verb] ?? "")) return undefined;
  const env: Record<string, string> = {};
  const envFiles: string[] = [];
  const mounts: Mount[] = [];
  let entrypoint: string | undefined;
  let folder: string | undefined;
  let at = verb + 1;
  for (; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "--") {
      at += 1;
      break;
    }
    if (!word.startsWith("-") || word === "-") break;
    const { flag, value, usedNext } = optionOf(word, words[at + 1] ?? "");
    if (usedNext) at += 1;
    if (flag === "-e" || flag === "--env") assign(env, value, callerEnv);
    else if (flag === "--env-file") envFiles.push(value);
    else if (flag === "--env-host") Object.assign(env, definedOnly(callerEnv));
    else if (flag === "-v" || flag === "--volume") mounts.push(...volumeOf(value));
    else if (flag === "--mount") mounts.push(...mountOf(value));
    else if (flag === "--entrypoint") entrypoint = value;
    else if (flag === "-w" || flag === "--workdir") folder = value;
  }
  const image = words[at] ?? "";
  return { image, entrypoint, words: words.slice(at + 1), env, envFiles, mounts, folder };
}

export function isContainerTool(word: string): boolean {
  return /^(docker|podman|nerdctl)$/.test(programName(word));
}

function optionOf(word: string, next: string) {
  if (BARE.has(word) || BARE_LETTERS.test(word)) {
    return { flag: word, value: "", usedNext: false };
  }
  const equals = word.indexOf("=");
  if (word.startsWith("--") && equals > 0) {
    return { flag: word.slice(0, equals), value: word.slice(equals + 1), usedNext: false };
  }
  const glued = word.startsWith("--") ? null : GLUED.exec(word);
  if (glued !== null) {
    return { flag: `-${glued[1]}`, value: (glued[2] ?? "").replace(/^=/, ""), usedNext: false };
  }
  return { flag: word, value: next, usedNext: true };
}

function assign(env: Record<string, string>, text: string, callerEnv: Environment): void {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  const value = equals < 0 ? callerEnv[name] : text.slice(equals + 1);
  if (value !== undefined) env[name] = value;
}

/** `host:container[:options]`; a named volume is skipped, since its folder is not known. */
export function volumeOf(text: string): Mount[] {
  const found = /^((?:[A-Za-z]:[\\/])?[^:]*):([^:]+)(?::[^:]*)?$/.exec(text);
  const [, host = "", container = ""] = found ?? [];
  return /^[./~\\]|^[A-Za-z]:/.test(host) ? [{ host, container }] : [];
}

function mountOf(text: string): Mount[] {
  const fields = new Map(
    text.split(",").map((field) => {
      const [key = "", ...value] = field.split("=");
      return [key, value.join("=")] as const;
    }),
  );
  const host = fields.get("source") ?? fields.get("src");
  const container = fields.get("target") ?? fields.get("dst") ?? fields.get("destination");
  return host === undefined || container === undefined ? [] : volumeOf(`${host}:${container}`);
}

function definedOnly(env: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
