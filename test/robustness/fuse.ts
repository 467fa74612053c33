import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../helpers/process-facts.ts";

/** Where `fixtures/bad-files.c` cannot read. */
export const BAD_PAGE = 33 * 1024 ** 2 + 12 * 1024;
export const FILE_BYTES = 64 * 1024 ** 2;

/** The file system of `fixtures/bad-files.c`, mounted for the length of a test file. */
export interface BadFiles {
  readonly eio: string;
  readonly dead: string;
  readonly stall: string;
  readonly silent: string;
  readonly grows: string;
  /** From now on reads do not answer, for 30 s at most. */
  stallReads(): void;
  answerReads(): void;
  /** From now on a question about `stall`, or about the file system, does not answer. */
  stallQuestions(question: Question): void;
  answerQuestions(): void;
  unmount(): void;
}

/** What a server is asked about a file, besides its contents. */
export type Question = "getattr" | "statfs";

const QUESTIONS: readonly Question[] = ["getattr", "statfs"];

const SOURCE = join(import.meta.dirname, "fixtures/bad-files.c");

/** Mounts it in the folder; or says why that cannot be done here. */
export async function mountBadFiles(folder: string): Promise<BadFiles | string> {
  if (process.getuid?.() !== 0) return "mounting needs root";
  if (!existsSync("/dev/fuse")) return "there is no /dev/fuse";
  const flags = spawnSync("pkg-config", ["--cflags", "--libs", "fuse3"], { encoding: "utf8" });
  if (flags.status !== 0) return "libfuse3-dev is not installed";
  const program = join(folder, "bad-files");
  const mount = join(folder, "mount");
  const flag = join(folder, "stalls");
  mkdirSync(mount);
  try {
    const options = flags.stdout.trim().split(/\s+/);
    execFileSync("cc", ["-O2", "-o", program, SOURCE, ...options], { stdio: "pipe" });
  } catch (error) {
    return `cc: ${error}`;
  }
  const answerQuestions = () => {
    for (const question of QUESTIONS) rmSync(`${flag}.${question}`, { force: true });
  };
  const daemon = spawn(program, [flag, mount, "-f"], { stdio: "ignore" });
  const path = (name: string) => join(mount, name);
  await until(() => existsSync(path("eio")) || daemon.exitCode !== null, "it is mounted");
  if (daemon.exitCode !== null) return `the file system ended with ${daemon.exitCode}`;
  return {
    eio: path("eio"),
    dead: path("dead"),
    stall: path("stall"),
    silent: path("silent"),
    grows: path("grows"),
    stallReads: () => writeFileSync(flag, ""),
    answerReads: () => rmSync(flag, { force: true }),
    stallQuestions: (question) => writeFileSync(`${flag}.${question}`, ""),
    answerQuestions,
    unmount() {
      rmSync(flag, { force: true });
      answerQuestions();
      spawnSync("umount", ["-l", mount]);
      daemon.kill("SIGKILL");
    },
  };
}
