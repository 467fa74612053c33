/** What a shell may hold that changes what the package, llama.cpp's options or Node itself do. */
const LEAKING = /^(PREFAULT|SHARPI_PREFAULT|NODE_OPTIONS|LLAMA_ARG_.*|LLAMA_CACHE|OLLAMA_MODELS)$/;

/** The names in an environment that no test may inherit from whoever started the tests. */
export function leakingNames(env: NodeJS.ProcessEnv): string[] {
  return Object.keys(env).filter((name) => LEAKING.test(name) && !isCage(env[name]));
}

/** What `vitest.config.ts` gives the group `cage`: its rule has to hold in every process. */
function isCage(value: string | undefined): boolean {
  return value?.endsWith("test/cage/preload.mjs") ?? false;
}

/** The environment of a process that a test starts: the test's own, without what leaks, and `env`. */
export function childEnvironment(env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const inherited = { ...process.env };
  for (const name of leakingNames(inherited)) delete inherited[name];
  return { ...inherited, ...env };
}
