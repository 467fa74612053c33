import { parseArgs } from "node:util";

/** What the server does with its command line, whose options are spelt as llama-server spells them. */
export interface ServerOptions {
  readonly model: string;
  readonly host: string;
  readonly port: number;
  /** Goes before every path. */
  readonly apiPrefix: string;
  readonly gpuLayers: number;
  readonly contextSize: number;
  readonly threads: number | undefined;
}

/** llama-server allows both `-ngl 3` and `--n-gpu-layers 3`; `parseArgs` knows short options of one letter. */
const SPELLINGS: Readonly<Record<string, string>> = {
  "-ngl": "--gpu-layers",
  "--n-gpu-layers": "--gpu-layers",
};

/** @throws Error that names what was wrong */
export function parseServerOptions(argv: readonly string[]): ServerOptions {
  const { values } = parseArgs({
    args: argv.map((argument) => SPELLINGS[argument] ?? argument),
    options: {
      model: { type: "string", short: "m" },
      host: { type: "string", default: "127.0.0.1" },
      port: { type: "string", default: "8080" },
      "api-prefix": { type: "string", default: "" },
      "gpu-layers": { type: "string", default: "0" },
      "ctx-size": { type: "string", short: "c", default: "1024" },
      threads: { type: "string", short: "t" },
      // Accepted and ignored: this server never makes a warm-up run.
      "no-warmup": { type: "boolean" },
    },
  });
  if (values.model === undefined) throw new Error("-m FILE is missing");
  return {
    model: values.model,
    host: values.host,
    port: whole("--port", values.port),
    apiPrefix: values["api-prefix"],
    gpuLayers: whole("-ngl", values["gpu-layers"]),
    contextSize: whole("-c", values["ctx-size"]),
    threads: values.threads === undefined ? undefined : whole("-t", values.threads),
  };
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`${name} takes a whole number, got ${text}`);
}
