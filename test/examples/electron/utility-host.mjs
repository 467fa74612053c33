/**
 * What Electron gives a utility process, for plain Node: `process.parentPort` over a MessagePort,
 * with Electron's events (`{ data, ports }`) in place of Node's. Then runs the script it is told.
 *
 * Speaks with the test over Node's own channel: what comes from the main process, and what from the
 * window, whose port is made here as Electron makes one with `MessageChannelMain`.
 */
import { MessageChannel } from "node:worker_threads";

const likeElectron = (port) => ({
  on: (_name, listener) =>
    port.addEventListener("message", ({ data, ports }) =>
      listener({ data, ports: ports.map(likeElectron) }),
    ),
  postMessage: (message) => port.postMessage(message),
  start: () => port.start(),
});

const main = new MessageChannel();
process.parentPort = likeElectron(main.port2);
main.port2.start();

const window = new MessageChannel();
window.port1.on("message", (message) => process.send(message));

process.on("message", ({ from, message }) => {
  if (from === "window") window.port1.postMessage(message);
  else main.port1.postMessage(message, message.kind === "connect" ? [window.port2] : []);
});

await import(process.argv[2]);
process.send({ kind: "started" });
