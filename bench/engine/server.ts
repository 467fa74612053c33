/**
 * A server over node-llama-cpp that answers as llama-server does, as far as a bench needs it:
 *
 *     node build/bench/engine/server.mjs -m FILE --port N [--host H] [-ngl N] [-c N] [-t N] [--api-prefix P]
 *
 * - `GET /health`: 503 while the model loads, then 200.
 * - `POST /completion` `{ prompt, n_predict, stream, seed }`: `prompt` is text or tokens; the end of
 *   text is ignored. With `stream` each token is an event, with `t`, the time it was there in
 *   milliseconds since 1970.
 *
 * One request at a time. The start populates the model's mapping, as llama.cpp's does; there is no
 * warm-up run. From the environment: `BENCH_ENGINE`, the folder with node-llama-cpp
 * (`build/engine`), and `BENCH_WITH_PREFAULT`, options of `withPrefault` as JSON to load with it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { withPrefault } from "prefault/node-llama-cpp";
import { generate, type LoadedModel, loadModel, type Sequence } from "./node-llama-cpp.ts";
import { parseServerOptions, type ServerOptions } from "./server-options.ts";

interface Request {
  readonly prompt: string | readonly number[];
  readonly n_predict?: number;
  readonly stream?: boolean;
  readonly seed?: number;
}

let options: ServerOptions;
try {
  options = parseServerOptions(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(2);
}
const { apiPrefix, contextSize } = options;

let ready: { readonly model: LoadedModel; readonly sequence: Sequence } | undefined;
let turn: Promise<void> = Promise.resolve();

const server = createServer((request, response) => {
  const path = request.url?.split("?")[0];
  if (request.method === "GET" && path === `${apiPrefix}/health`) {
    if (ready !== undefined) send(response, 200, { status: "ok" });
    else send(response, 503, failure(503, "Loading model", "unavailable_error"));
  } else if (request.method === "POST" && path === `${apiPrefix}/completion`) {
    turn = turn
      .then(() => complete(request, response))
      .catch((error: unknown) => {
        if (!response.headersSent)
          send(response, 400, failure(400, String(error), "invalid_request_error"));
        response.destroy();
      });
  } else {
    send(response, 404, failure(404, "File Not Found", "not_found_error"));
  }
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(0));
server.listen(options.port, options.host);
ready = await load();

async function load() {
  const { model: path, gpuLayers, threads } = options;
  const engine = process.env["BENCH_ENGINE"] ?? "build/engine";
  const prefault = process.env["BENCH_WITH_PREFAULT"];
  const model = await loadModel(
    { path, engine, gpuLayers, ...(threads !== undefined && { threads }) },
    (llama, request) =>
      prefault === undefined
        ? llama.loadModel(request)
        : withPrefault(request, (one) => llama.loadModel(one), JSON.parse(prefault)),
  );
  const context = await model.createContext({ contextSize, ignoreMemorySafetyChecks: true });
  return { model, sequence: context.getSequence() };
}

async function complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (ready === undefined) {
    send(response, 503, failure(503, "Loading model", "unavailable_error"));
    return;
  }
  const { model, sequence } = ready;
  const { prompt, n_predict = -1, stream = false, seed = 1 } = await body(request);
  const tokens = typeof prompt === "string" ? model.tokenize(prompt) : [...prompt];
  const most = n_predict < 0 ? contextSize - tokens.length : n_predict;
  if (stream) response.writeHead(200, { "content-type": "text/event-stream" });
  const made: number[] = [];
  await sequence.clearHistory();
  if (most > 0) {
    for await (const token of generate(sequence, tokens, seed)) {
      made.push(token);
      const stop = made.length >= most;
      if (stream) sendEvent(response, { ...said(model, [token]), stop, t: now() });
      // Nobody listens any more.
      if (stop || response.destroyed) break;
    }
  }
  if (stream) response.end();
  else send(response, 200, { ...said(model, made), stop: true, t: now() });
}

function said(model: LoadedModel, tokens: readonly number[]) {
  return { content: model.detokenize(tokens), tokens };
}

async function body(request: IncomingMessage): Promise<Request> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += chunk;
  const parsed = JSON.parse(text) as Request;
  if (typeof parsed.prompt === "string" || Array.isArray(parsed.prompt)) return parsed;
  throw new TypeError('"prompt" must be text or tokens');
}

/** Comparable between processes of one machine. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

function failure(code: number, message: string, type: string) {
  return { error: { code, message, type } };
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

function sendEvent(response: ServerResponse, value: unknown): void {
  response.write(`data: ${JSON.stringify(value)}\n\n`);
}
