/** The utility process: a Node process of its own, so that nothing here can hold up the app. */
import {
  asCommand,
  type Command,
  type FromMain,
  type Message,
  type ServerCommand,
} from "../ipc.ts";
import { Server } from "./server.ts";
import { Warmer } from "./warmer.ts";

const { parentPort } = process;
let window: Electron.MessagePortMain | undefined;
const send = (message: Message) => window?.postMessage(message);
const warmer = new Warmer(send);

parentPort.on("message", ({ data, ports }) => {
  const message = data as FromMain;
  if (message.kind === "open") void warmer.open(message.path);
  else if (message.kind === "profile") void warmer.choose(message.path);
  const [port] = ports;
  if (message.kind !== "connect" || port === undefined) return;
  window = port;
  const server = new Server(message.settings, (status) => send({ kind: "server", server: status }));
  port.on("message", (event) => {
    const command = asCommand(event.data);
    if (command === undefined) return;
    if (isOfServer(command)) void server.take(command);
    else void warmer.take(command);
  });
  port.start();
  void server.look();
});

function isOfServer(command: Command): command is ServerCommand {
  return command.kind === "start-server" || command.kind === "stop-server";
}
