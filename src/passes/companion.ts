import { describeKind } from "../model/kind.ts";
import type { Model } from "../model/model.ts";
import { wholeTensor } from "../model/whole-file.ts";
import type { PassName, PassPlan } from "./pass.ts";

/**
 * Plans a file that is loaded beside a model, such as a projector. A placement concerns only the layers of
 * the model, so the whole file is planned: an engine reads all of it while it loads. An importance matrix
 * is not read at all.
 */
export function companionPlan(model: Model, pass: PassName): PassPlan {
  const { kind = "model" } = model;
  const what = `${model.files[0]?.path ?? ""} is ${describeKind(kind)}`;
  const whole = model.files.map((each, file) => ({
    tensor: wholeTensor(each, file),
    reason: `${kind}, the whole file`,
  }));
  if (kind === "imatrix") {
    const elsewhere = whole.map((each) => ({ ...each, place: "unused" as const }));
    return { pass, runs: [], elsewhere, notes: [`${what}; it was left out`] };
  }
  const isSaid = model.notes?.some((note) => note.startsWith(what)) === true;
  const note = `${what}; the placement says nothing of it, so the whole file counts`;
  return {
    pass,
    runs: [{ name: "core", label: kind, gate: "fits-in-free-ram", regions: whole }],
    elsewhere: [],
    notes: isSaid ? [] : [note],
  };
}
