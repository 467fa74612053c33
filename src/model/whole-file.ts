import { basename } from "node:path";
import type { OpenFile } from "../file/open-file.ts";
import type { Model, ModelFile, Tensor } from "./model.ts";
import { modelFile } from "./model-file.ts";

/** A file of any format, as a model of a single tensor with the file's name. */
export function wholeFile(opened: OpenFile, notes: readonly string[] = []): Model {
  const file = modelFile(opened);
  const tensors = [wholeTensor(file)];
  return { format: "file", files: [file], tensors, metadata: {}, kind: "model", notes };
}

/** All bytes of a file as one tensor with the file's name. @param file its number in its model */
export function wholeTensor({ path, byteLength }: ModelFile, file = 0): Tensor {
  return { name: basename(path), file, offset: 0, byteLength, dtype: "bytes", shape: [byteLength] };
}
