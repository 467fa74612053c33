/** The utility process: a Node process of its own, so that nothing here can hold up the app. */
import { asCommand, type FromMain, type Message } from "../ipc.ts";
import { Warmer } from "./warmer.ts";

const { parentPort } = process;
let window: Electron.MessagePortMain | undefined;
const warmer = new Warmer((message: Message) => window?.postMessage(message));

parentPort.on("message", ({ data, ports }) => {
  const message = data as FromMain;
  if (message.kind === "open") void warmer.open(message.path);
  else if (message.kind === "profile") void warmer.choose(message.path);
  const [port] = ports;
  if (message.kind !== "connect" || port === undefined) return;
  window = port;
  port.on("message", (event) => {
    const command = asCommand(event.data);
    if (command !== undefined) void warmer.take(command);
  });
  port.start();
});
