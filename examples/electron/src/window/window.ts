import type { Message, ModelView, Status, WarmerBridge } from "../ipc.ts";
import { element } from "./element.ts";
import { ResidencyMap } from "./residency-map.ts";
import { RunList } from "./runs.ts";
import { ServerCard } from "./server.ts";
import { describe } from "./status.ts";
import { formatBytes, percent } from "./text.ts";

declare global {
  interface Window {
    readonly warmer: WarmerBridge;
  }
}

const name = element("name", HTMLElement);
const size = element("size", HTMLElement);
const choose = element("choose", HTMLButtonElement);
const placement = element("placement", HTMLFormElement);
const gpuLayers = element("gpu-layers", HTMLInputElement);
const cpuMoe = element("cpu-moe", HTMLInputElement);
const budget = element("budget", HTMLInputElement);
const profile = element("profile", HTMLButtonElement);
const dropProfile = element("drop-profile", HTMLButtonElement);
const warm = element("warm", HTMLButtonElement);
const card = element("status", HTMLElement);
const title = element("title", HTMLElement);
const detail = element("detail", HTMLElement);
const message = element("message", HTMLElement);
const progress = element("progress", HTMLProgressElement);
const force = element("force", HTMLButtonElement);
const resident = element("resident", HTMLElement);
const runs = new RunList(element("runs", HTMLUListElement), element("notes", HTMLUListElement));
const map = new ResidencyMap(element("map", HTMLUListElement));

const { warmer } = window;
const server = new ServerCard((command) => warmer.send(command));
let hasModel = false;
let isWarming = false;

function showModel(model: ModelView | null): void {
  hasModel = model !== null;
  map.show(model?.tensors ?? []);
  runs.show({ runs: [], notes: [] });
  resident.textContent = "";
  if (model === null) return;
  name.textContent = model.name;
  const total = model.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  const onCpu = model.tensors.reduce(
    (sum, { bytes, place }) => sum + (place === "cpu" ? bytes : 0),
    0,
  );
  size.textContent = `${formatBytes(onCpu)} of ${formatBytes(total)} stay on the CPU`;
  // llama.cpp counts the output head as one layer more.
  gpuLayers.max = String(model.layers + 1);
  gpuLayers.valueAsNumber = model.placement.gpuLayers;
  cpuMoe.checked = model.placement.cpuMoe;
}

function showStatus(status: Status): void {
  const text = describe(status);
  isWarming = status.state === "warming" || status.state === "opening";
  card.dataset["state"] = status.state;
  title.textContent = hasModel || status.state !== "idle" ? text.title : "No model chosen";
  detail.textContent = text.detail;
  message.textContent = text.message;
  if (text.progress === null) progress.removeAttribute("value");
  else progress.value = text.progress;
  force.hidden = status.state !== "skipped";
  if (status.state === "opening") {
    name.textContent = status.name;
    size.textContent = "";
  }
  enable();
}

function enable(): void {
  warm.textContent = isWarming ? "Stop" : "Warm";
  warm.disabled = !hasModel && !isWarming;
  for (const input of [gpuLayers, cpuMoe, budget, profile, dropProfile]) {
    input.disabled = isWarming || !hasModel;
  }
}

function showProfile(file: string | null): void {
  profile.textContent = file === null ? "Profile…" : `Profile: ${file}`;
  dropProfile.hidden = file === null;
}

function showShares(shares: readonly (number | null)[]): void {
  const { residentBytes, bytes } = map.fill(shares);
  resident.textContent =
    residentBytes === null
      ? "the system does not say"
      : `${formatBytes(residentBytes)} of ${formatBytes(bytes)}, ${percent(residentBytes, bytes)}`;
}

warmer.onMessage((received: Message) => {
  switch (received.kind) {
    case "model":
      return showModel(received.model);
    case "residency":
      return showShares(received.shares);
    case "status":
      return showStatus(received.status);
    case "profile":
      return showProfile(received.name);
    case "report":
      return runs.show(received.report);
    case "server":
      return server.show(received.server);
  }
});

choose.addEventListener("click", () => void warmer.choose());
profile.addEventListener("click", () => void warmer.chooseProfile());
dropProfile.addEventListener("click", () => warmer.send({ kind: "drop-profile" }));
for (const input of [gpuLayers, cpuMoe]) {
  input.addEventListener("change", () => {
    const given = { gpuLayers: gpuLayers.valueAsNumber || 0, cpuMoe: cpuMoe.checked };
    warmer.send({ kind: "place", placement: given });
  });
}
const start = (force: boolean) => warmer.send({ kind: "warm", force, budget: budget.value });
placement.addEventListener("submit", (event) => {
  event.preventDefault();
  if (isWarming) warmer.send({ kind: "stop" });
  else start(false);
});
force.addEventListener("click", () => start(true));
showStatus({ state: "idle" });
