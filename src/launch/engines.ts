import type { PassName } from "../passes/index.ts";

/** An engine whose command line can be read. */
export type EngineName =
  | "llama.cpp"
  | "ik_llama.cpp"
  | "llama-bench"
  | "llama-run"
  | "koboldcpp"
  | "llama-cpp-python"
  | "llamafile"
  | "ollama";

/** A program of an engine in a list of words. */
export interface FoundProgram {
  readonly engine: EngineName;
  /** As it was written. */
  readonly program: string;
  /** Where its arguments begin. */
  readonly next: number;
}

const LLAMA_TOOLS =
  "server|cli|completion|run|bench|simple|simple-chat|batched|batched-bench|parallel|perplexity|" +
  "embedding|imatrix|passkey|retrieval|tts|infill|speculative|speculative-simple|lookup|lookahead|" +
  "mtmd-cli|mtmd-debug|llava-cli|qwen2vl-cli|minicpmv-cli|gemma3-cli|sweep-bench|eval-callback|" +
  "cvector-generator|gritlm|save-load-state|diffusion-cli|server-impl";
/** `llama-server`, and builds of it such as `llama-server-cuda` or `llama-server-b9860`. */
const LLAMA = new RegExp(`^(ik[-_])?llama[-_](${LLAMA_TOOLS})(?:[-_.].*)?$`);
/** Commands of llama.cpp's program for all tools, such as `llama serve`. */
const LLAMA_COMMANDS = /^(serve|server|cli|run|chat|completion|bench|perplexity)$/;
const KOBOLDCPP = /^koboldcpp(?:[-_.].*)?$/;
const LLAMAFILE = /\.llamafile$|^llamafile(?:[-_.]?\d.*)?$/;
const DATA_FILE = /\.(gguf|safetensors|bin|json|ini|txt|md|log|kcpps|ya?ml)$/;

/** The last part of a path, in small letters and without `.exe`. */
export function programName(word: string): string {
  const name = word.slice(Math.max(word.lastIndexOf("/"), word.lastIndexOf("\\")) + 1);
  return name.toLowerCase().replace(/\.exe$/, "");
}

/** The program at an index of the words, if it is one of an engine. */
export function programAt(words: readonly string[], at: number): FoundProgram | undefined {
  const word = words[at] ?? "";
  const name = programName(word);
  const following = words[at + 1] ?? "";
  const found = (engine: EngineName, next = at + 1) => ({ engine, program: word, next });
  if (name === "" || DATA_FILE.test(name)) return undefined;
  if (KOBOLDCPP.test(name)) return found("koboldcpp");
  if (name === "llama_cpp.server" && words[at - 1] === "-m") return found("llama-cpp-python");
  if (LLAMAFILE.test(name)) return found("llamafile");
  if (name === "ollama") return found("ollama");
  if (name === "llama" && LLAMA_COMMANDS.test(following)) {
    return found(following === "bench" ? "llama-bench" : "llama.cpp", at + 2);
  }
  const tool = LLAMA.exec(name);
  if (tool !== null) {
    if (/(^|[/\\])ik[-_]?llama|^ik[-_]/i.test(word) || tool[1] !== undefined) {
      return found(tool[2] === "bench" ? "llama-bench" : "ik_llama.cpp");
    }
    if (tool[2] === "bench") return found("llama-bench");
    if (tool[2] === "run") return found("llama-run");
    return found("llama.cpp");
  }
  // The names of llama-cli and llama-server until June 2024. Too common without a folder.
  if (/[/\\]/.test(word) && /^(main|server)$/.test(name)) return found("llama.cpp");
  return undefined;
}

/** The engine of a container's image, by the name of the image. */
export function engineOfImage(image: string): EngineName | undefined {
  const name = image.toLowerCase();
  if (/ik[-_]?llama/.test(name)) return "ik_llama.cpp";
  if (/koboldcpp/.test(name)) return "koboldcpp";
  if (/llama[-_]cpp[-_]python/.test(name)) return "llama-cpp-python";
  if (/llama[-_.]?cpp|llama-server/.test(name)) return "llama.cpp";
  if (/llamafile/.test(name)) return "llamafile";
  return /(^|\/)ollama/.test(name) ? "ollama" : undefined;
}

/** The pass with the placement rules of an engine. */
export function passOf(engine: EngineName): PassName {
  return engine === "ik_llama.cpp" ? "ik_llama.cpp" : "llama.cpp";
}
