/** Maps a file and does nothing with it until its standard input ends: an engine that nobody asks anything. */
import { mapForeign } from "../../test/fixtures/foreign-mapping.ts";

const { path, byteLength } = JSON.parse(process.argv[2] ?? "{}") as IdleEngineTask;
mapForeign(path, byteLength);
process.stdout.write("mapped\n");
process.stdin.resume();

export interface IdleEngineTask {
  readonly path: string;
  readonly byteLength: number;
}
