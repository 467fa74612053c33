import { fileURLToPath } from "node:url";
import {
  app,
  BrowserWindow,
  dialog,
  ipcMain,
  MessageChannelMain,
  nativeTheme,
  session,
  type UtilityProcess,
  utilityProcess,
} from "electron";
import { CHANNELS, type FromMain } from "../ipc.ts";

const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Threads and native code want plain files: see asarUnpack in electron-builder.yml. */
const WARMER = beside("warmer.js").replace(/app\.asar(?=[\\/])/, "app.asar.unpacked");

let warmer: UtilityProcess | undefined;

/** The warmer that serves this window, started when there is none. */
function warmerOf(window: BrowserWindow): UtilityProcess {
  if (warmer !== undefined) return warmer;
  const started = utilityProcess.fork(WARMER, [], { serviceName: "prefault" });
  const { port1, port2 } = new MessageChannelMain();
  started.postMessage({ kind: "connect" } satisfies FromMain, [port1]);
  window.webContents.postMessage(CHANNELS.connect, null, [port2]);
  started.once("exit", (code) => {
    warmer = undefined;
    if (!window.isDestroyed()) window.webContents.send(CHANNELS.ended, code);
  });
  warmer = started;
  return started;
}

function openWindow(): void {
  const window = new BrowserWindow({
    width: 960,
    height: 720,
    minWidth: 380,
    minHeight: 420,
    backgroundColor: nativeTheme.shouldUseDarkColors ? "#1e1e20" : "#f6f6f7",
    webPreferences: {
      preload: beside("preload.cjs"),
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
    },
  });
  window.setMenuBarVisibility(false);
  // The page is our own and stays it.
  window.webContents.setWindowOpenHandler(() => ({ action: "deny" }));
  window.webContents.on("will-navigate", (event) => event.preventDefault());
  window.once("closed", () => warmer?.kill());
  void window.loadFile(beside("window.html"));
}

ipcMain.handle(CHANNELS.choose, async ({ sender }) => {
  const window = BrowserWindow.fromWebContents(sender);
  if (window === null) return;
  const { filePaths } = await dialog.showOpenDialog(window, {
    properties: ["openFile"],
    filters: [{ name: "Models", extensions: ["gguf", "safetensors"] }],
  });
  const [path] = filePaths;
  // The path goes to the warmer alone; the window is told the file's name.
  if (path !== undefined) {
    warmerOf(window).postMessage({ kind: "open", path } satisfies FromMain);
  }
});

await app.whenReady();
session.defaultSession.setPermissionRequestHandler((_contents, _permission, answer) =>
  answer(false),
);
openWindow();
app.on("activate", () => {
  if (BrowserWindow.getAllWindows().length === 0) openWindow();
});
app.on("window-all-closed", () => {
  if (process.platform !== "darwin") app.quit();
});
