import { setTimeout as sleep } from "node:timers/promises";
import type { Server } from "../engine/client.ts";

const MOST_MS = 60_000;

/** Waits until the server, or what started it, has said that it is warm. */
export function isWarm(said: RegExp) {
  return async (server: Server) => {
    const end = performance.now() + MOST_MS;
    while (!said.test(server.stderr)) {
      if (performance.now() > end) throw new Error(`never warm: ${server.stderr}`);
      await sleep(10);
    }
    return undefined;
  };
}
