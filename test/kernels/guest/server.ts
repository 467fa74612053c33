/**
 * Stands for `llama-server`: maps its model and reads all of it, as a start that populates the mapping does, and then
 * answers `/health` until SIGTERM.
 */
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { mapModel } from "prefault";

const { values } = parseArgs({
  strict: false,
  options: {
    model: { type: "string", short: "m" },
    host: { type: "string" },
    port: { type: "string" },
  },
});
const path = String(values.model);
const mapped = await mapModel(path);
for await (const _ of createReadStream(path, { highWaterMark: 1024 ** 2 }));
const server = createServer((_, response) => response.end('{"status":"ok"}'));
server.listen(Number(values.port), String(values.host), () => console.log("ready"));
process.on("SIGTERM", () => {
  console.log("TERM");
  server.close(() => mapped.close().then(() => process.exit(0)));
  server.closeAllConnections();
});
