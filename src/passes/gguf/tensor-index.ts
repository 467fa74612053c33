import { PrefaultError } from "../../errors.ts";
import type { Model, Tensor } from "../../model/model.ts";

/**
 * The tensors of a model by name. Built once; every look-up is one hash probe, so that planning
 * stays linear in the number of tensors.
 */
export class TensorIndex {
  /** In file order. */
  readonly tensors: readonly Tensor[];
  readonly #byName = new Map<string, Tensor>();

  /**
   * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` for a tensor that does not lie in its
   * file. Defect D9: the reference sweeps the size in the header, and crashes on a truncated file.
   */
  constructor(model: Pick<Model, "tensors" | "files">) {
    this.tensors = model.tensors;
    for (const tensor of model.tensors) {
      assertInFile(tensor, model.files);
      // The first of two equal names wins, as in the reference's linear scan.
      if (!this.#byName.has(tensor.name)) this.#byName.set(tensor.name, tensor);
    }
  }

  /** A tensor that may be absent. */
  find(name: string): Tensor | undefined {
    return this.#byName.get(name);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /**
   * A tensor that must exist: the engine of the pass does not load the model without it.
   *
   * @throws {@link PrefaultError} `PREFAULT_UNKNOWN_TENSOR`
   */
  get(name: string): Tensor {
    const tensor = this.find(name);
    if (tensor === undefined) {
      throw new PrefaultError(
        "PREFAULT_UNKNOWN_TENSOR",
        `missing tensor: ${name}. The engine this pass describes cannot load such a model; ` +
          "another pass may suit it",
      );
    }
    return tensor;
  }
}

function assertInFile(tensor: Tensor, files: Model["files"]): void {
  const file = files[tensor.file];
  const end = tensor.offset + tensor.byteLength;
  const inFile =
    file !== undefined &&
    Number.isSafeInteger(end) &&
    tensor.offset >= 0 &&
    tensor.byteLength >= 0 &&
    end <= file.byteLength;
  if (inFile) return;
  throw new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `tensor ${tensor.name} ends at byte ${end}, past its file (${file?.byteLength ?? 0} bytes)`,
    { path: file?.path, offset: tensor.offset },
  );
}
