/** Runs sandboxed and apart from the page. Passes messages on, and exposes nothing else. */
import { contextBridge, ipcRenderer } from "electron";
import { CHANNELS, type Command, type Message, type WarmerBridge } from "../ipc.ts";

let port: MessagePort | undefined;
let listener: (message: Message) => void = () => {};

ipcRenderer.on(CHANNELS.connect, ({ ports }) => {
  port = ports[0];
  if (port !== undefined) port.onmessage = ({ data }) => listener(data as Message);
});

ipcRenderer.on(CHANNELS.ended, (_event, code: number) => {
  port = undefined;
  const message = `The warmer ended with code ${code}. Choosing a model starts another.`;
  listener({ kind: "status", status: { state: "failed", code: "WARMER_ENDED", message } });
  // Its server ends with it.
  listener({ kind: "server", server: { state: "none" } });
});

const bridge: WarmerBridge = {
  choose: () => ipcRenderer.invoke(CHANNELS.choose),
  chooseProfile: () => ipcRenderer.invoke(CHANNELS.chooseProfile),
  send: (command: Command) => port?.postMessage(command),
  onMessage(given) {
    listener = given;
  },
};
contextBridge.exposeInMainWorld("warmer", bridge);
