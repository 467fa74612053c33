import type { Message, ModelView, Status, WarmerBridge } from "../ipc.ts";
import { ResidencyMap } from "./residency-map.ts";
import { describe } from "./status.ts";
import { formatBytes, percent } from "./text.ts";

declare global {
  interface Window {
    readonly warmer: WarmerBridge;
  }
}

function element<T extends HTMLElement>(id: string, type: abstract new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`the page has no ${type.name} ${id}`);
}

const name = element("name", HTMLElement);
const size = element("size", HTMLElement);
const choose = element("choose", HTMLButtonElement);
const placement = element("placement", HTMLFormElement);
const gpuLayers = element("gpu-layers", HTMLInputElement);
const cpuMoe = element("cpu-moe", HTMLInputElement);
const warm = element("warm", HTMLButtonElement);
const card = element("status", HTMLElement);
const title = element("title", HTMLElement);
const detail = element("detail", HTMLElement);
const message = element("message", HTMLElement);
const progress = element("progress", HTMLProgressElement);
const force = element("force", HTMLButtonElement);
const resident = element("resident", HTMLElement);
const map = new ResidencyMap(element("map", HTMLUListElement));

const { warmer } = window;
let hasModel = false;
let isWarming = false;

function showModel(model: ModelView | null): void {
  hasModel = model !== null;
  map.show(model?.tensors ?? []);
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
  for (const input of [gpuLayers, cpuMoe]) input.disabled = isWarming || !hasModel;
}

function showShares(shares: readonly (number | null)[]): void {
  const { residentBytes, bytes } = map.fill(shares);
  resident.textContent =
    residentBytes === null
      ? "the system does not say"
      : `${formatBytes(residentBytes)} of ${formatBytes(bytes)}, ${percent(residentBytes, bytes)}`;
}

warmer.onMessage((received: Message) => {
  if (received.kind === "model") showModel(received.model);
  else if (received.kind === "residency") showShares(received.shares);
  else showStatus(received.status);
});

choose.addEventListener("click", () => void warmer.choose());
placement.addEventListener("change", () => {
  const given = { gpuLayers: gpuLayers.valueAsNumber || 0, cpuMoe: cpuMoe.checked };
  warmer.send({ kind: "place", placement: given });
});
placement.addEventListener("submit", (event) => {
  event.preventDefault();
  warmer.send(isWarming ? { kind: "stop" } : { kind: "warm", force: false });
});
force.addEventListener("click", () => warmer.send({ kind: "warm", force: true }));
showStatus({ state: "idle" });
