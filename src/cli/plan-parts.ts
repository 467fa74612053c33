import type { Model, Tensor } from "../model/model.ts";
import { parseTensorName, partOf } from "../passes/gguf/tensor-names.ts";

/** A range of bytes of a file, and why it is where it is. */
export interface Part {
  /** `null` for what lies between tensors. */
  readonly tensor: string | null;
  readonly file: string;
  readonly offset: number;
  readonly byteLength: number;
  readonly reason: string;
}

export function tensorPart(model: Model, tensor: Tensor, reason: string): Part {
  const { name, file, offset, byteLength } = tensor;
  return { tensor: name, file: model.files[file]?.path ?? "", offset, byteLength, reason };
}

/** Every byte of a model's files: its tensors, and what lies between them. In file order. */
export function wholeFileParts(model: Model): Part[] {
  return model.files.flatMap(({ path, byteLength }, file) => {
    const tensors = model.tensors
      .filter((tensor) => tensor.file === file)
      .sort((one, other) => one.offset - other.offset);
    const parts: Part[] = [];
    let end = 0;
    const fillUpTo = (offset: number) => {
      if (offset <= end) return;
      const reason = "header and padding, of the whole file";
      parts.push({ tensor: null, file: path, offset: end, byteLength: offset - end, reason });
    };
    for (const tensor of tensors) {
      fillUpTo(tensor.offset);
      parts.push(tensorPart(model, tensor, wholeReason(model, tensor)));
      end = Math.max(end, tensor.offset + tensor.byteLength);
    }
    fillUpTo(byteLength);
    return parts;
  });
}

function wholeReason(model: Model, { name }: Tensor): string {
  if (model.format === "file") return "the whole file";
  const part = model.format === "gguf" ? partOf(parseTensorName(name).role) : "weights";
  return `${part}, of the whole file`;
}

export function bytesOf(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + part.byteLength, 0);
}
