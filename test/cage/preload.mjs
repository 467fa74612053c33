import { syncBuiltinESMExports } from "node:module";

/**
 * Electron's rule, in plain Node. Since its version 21 V8 lives in a memory cage there, and refuses
 * any ArrayBuffer over memory that V8 did not allocate. Loaded by `--import` into every process and
 * thread, this replaces whatever can make one by something that throws:
 *
 * - `koffi.view`, which wraps a pointer;
 * - `koffi.decode`, which makes typed arrays of what a pointer points to;
 * - `node:ffi`, where Node has it.
 */
const refuse = (what) => () => {
  throw new Error(`${what}: no ArrayBuffer over foreign memory in Electron's memory cage`);
};

/** Where addons come from, koffi's among them, whichever copy of it is loaded from wherever. */
const { dlopen } = process;
process.dlopen = function dlopenInCage(module, ...rest) {
  const result = dlopen.call(this, module, ...rest);
  // koffi's own scripts take the functions from here.
  for (const name of ["view", "decode"]) {
    if (name in module.exports) module.exports[name] = refuse(`koffi.${name}`);
  }
  return result;
};

// It warns that it is experimental as soon as it is looked at, into the output of every child.
const { emitWarning } = process;
process.emitWarning = () => {};
const ffi = process.getBuiltinModule?.("node:ffi");
process.emitWarning = emitWarning;
if (ffi !== undefined) {
  for (const name of ["toArrayBuffer", "toBuffer"]) ffi[name] = refuse(`node:ffi ${name}`);
  syncBuiltinESMExports();
}
