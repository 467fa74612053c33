import { type Mount, volumeOf } from "./containers.ts";
import { programName } from "./engines.ts";

/** `NAME=VALUE` as a word. */
export const ASSIGNMENT = /^[A-Za-z_]\w*=/;

/** Reads assignments and mounts from the words before a program. */
export function beforeProgram(words: readonly string[]) {
  const env: Record<string, string> = {};
  const mounts: Mount[] = [];
  collect(env, words);
  words.forEach((word, at) => {
    const next = words[at + 1] ?? "";
    if (/^(-B|--bind|-v|--volume)$/.test(word)) mounts.push(...volumeOf(next));
    if (/^--(setenv|env)=/.test(word)) collect(env, [word.replace(/^--(setenv|env)=/, "")]);
  });
  const isEmptied = words.some((word) => programName(word) === "env") && words.includes("-i");
  return { env, envFiles: [], hidesEnvironment: isEmptied, mounts, folder: undefined };
}

/** Adds the assignments among words to an environment. */
export function collect(env: Record<string, string>, words: readonly string[]): void {
  for (const word of words) {
    const equals = word.indexOf("=");
    if (ASSIGNMENT.test(word)) env[word.slice(0, equals)] = word.slice(equals + 1);
  }
}
