/** Sweeps what does not fit, and says how that ended and what the process itself took. */
import { readFileSync } from "node:fs";
import { type PrefaultOptions, prefault } from "prefault";

interface Argument {
  readonly path: string;
  readonly options: PrefaultOptions;
}

const { path, options } = JSON.parse(process.argv[2] ?? "") as Argument;

function ownBytes(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

let mostOwnBytes = ownBytes();
const timer = setInterval(() => {
  mostOwnBytes = Math.max(mostOwnBytes, ownBytes());
}, 20);
let bytesDone = 0;
const { ran, reason, error, bytes } = await prefault([{ path }], {
  ...options,
  log() {},
  onProgress: (progress) => {
    bytesDone = progress.bytesDone;
  },
});
clearInterval(timer);
console.log(
  JSON.stringify({
    ran,
    reason,
    code: error?.code ?? null,
    message: error?.message ?? null,
    bytes,
    bytesDone,
    mostOwnBytes,
  }),
);
