import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  app,
  BrowserWindow,
  dialog,
  type FileFilter,
  ipcMain,
  MessageChannelMain,
  nativeTheme,
  session,
  type UtilityProcess,
  utilityProcess,
  type WebContents,
} from "electron";
import { CHANNELS, type FromMain } from "../ipc.ts";

const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Threads and native code want plain files: see asarUnpack in electron-builder.yml. */
const WARMER = beside("warmer.js").replace(/app\.asar(?=[\\/])/, "app.asar.unpacked");

/** Only the user writes it: which server the app may start. */
const SETTINGS = join(app.getPath("userData"), "settings.json");

let warmer: UtilityProcess | undefined;

/** The warmer that serves this window, started when there is none. */
function warmerOf(window: BrowserWindow): UtilityProcess {
  if (warmer !== undefined) return warmer;
  const started = utilityProcess.fork(WARMER, [], { serviceName: "prefault" });
  const { port1, port2 } = new MessageChannelMain();
  started.postMessage({ kind: "connect", settings: SETTINGS } satisfies FromMain, [port1]);
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
  // At once, since the settings may name a server. What was started ends with the warmer.
  window.webContents.once("did-finish-load", () => warmerOf(window));
  window.once("closed", () => warmer?.kill());
  void window.loadFile(beside("window.html"));
}

/** Has the user choose a file. Its path goes to the warmer alone; the window is told the file's name. */
async function choose(
  contents: WebContents,
  kind: "open" | "profile",
  filters: FileFilter[],
): Promise<void> {
  const window = BrowserWindow.fromWebContents(contents);
  if (window === null) return;
  const { filePaths } = await dialog.showOpenDialog(window, { properties: ["openFile"], filters });
  const [path] = filePaths;
  if (path !== undefined) warmerOf(window).postMessage({ kind, path } satisfies FromMain);
}

ipcMain.handle(CHANNELS.choose, ({ sender }) =>
  choose(sender, "open", [{ name: "Models", extensions: ["gguf", "safetensors"] }]),
);
ipcMain.handle(CHANNELS.chooseProfile, ({ sender }) =>
  // An imatrix is a GGUF file, also where it is called otherwise.
  choose(sender, "profile", [
    { name: "Profiles", extensions: ["gguf", "imatrix", "csv", "json"] },
    { name: "All files", extensions: ["*"] },
  ]),
);

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
