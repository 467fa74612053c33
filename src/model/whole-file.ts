import { basename } from "node:path";
import type { OpenFile } from "../file/open-file.ts";
import type { Model } from "./model.ts";
import { modelFile } from "./model-file.ts";

/** A file of any format, as a model of a single tensor with the file's name. */
export function wholeFile(opened: OpenFile, notes: readonly string[] = []): Model {
  const file = modelFile(opened);
  const whole = { name: basename(file.path), file: 0, offset: 0, byteLength: file.byteLength };
  const tensors = [{ ...whole, dtype: "bytes", shape: [file.byteLength] }];
  return { format: "file", files: [file], tensors, metadata: {}, kind: "model", notes };
}
