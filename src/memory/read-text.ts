import { readFileSync } from "node:fs";

/** The text of a file of `/proc` or `/sys`; empty where it is missing or may not be read. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
