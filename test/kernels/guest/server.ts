/**
 * Stands for `llama-server`: reads the whole model, as a start that populates its mapping does, and then answers
 * `/health` until SIGTERM.
 */
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  strict: false,
  options: {
    model: { type: "string", short: "m" },
    host: { type: "string" },
    port: { type: "string" },
  },
});
const model = createReadStream(String(values.model), { highWaterMark: 1024 ** 2 });
for await (const _ of model);
const server = createServer((_, response) => response.end('{"status":"ok"}'));
server.listen(Number(values.port), String(values.host), () => console.log("ready"));
process.on("SIGTERM", () => {
  console.log("TERM");
  server.close(() => process.exit(0));
  server.closeAllConnections();
});
