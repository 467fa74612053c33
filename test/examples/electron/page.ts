import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { CHANNELS, type Command, type Message } from "../../../examples/electron/src/ipc.ts";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where there is a Chromium, if there is one. */
export const chromium = [process.env["CHROMIUM"] ?? "", ...CHROMIUM].find(existsSync);

/** Screenshots are taken when somebody wants to look at them. */
const SHOTS = process.env["SCREENSHOTS"];
if (SHOTS !== undefined) mkdirSync(SHOTS, { recursive: true });

/** How the window is looked at. */
export interface Look {
  readonly width: number;
  readonly height: number;
  readonly scheme: "light" | "dark";
}

export function launchChromium(): Promise<Browser> {
  return puppeteer.launch({
    executablePath: chromium ?? "",
    // As root there is no sandbox to be had; the page is our own.
    args: ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb", "--hide-scrollbars"],
  });
}

/** What Electron's preload finds: runs in the page, before any script of it. */
function electronInPage(preload: string, channels: typeof CHANNELS): void {
  type Listener = (event: { ports: MessagePort[] }, value?: unknown) => void;
  const listeners = new Map<string, Listener>();
  const { port1, port2 } = new MessageChannel();
  const page = globalThis as unknown as Record<string, (value?: unknown) => unknown>;
  const electron = {
    contextBridge: {
      exposeInMainWorld: (name: string, api: unknown) => Object.assign(globalThis, { [name]: api }),
    },
    ipcRenderer: {
      on: (channel: string, listener: Listener) => listeners.set(channel, listener),
      invoke: async (channel: string) => page["testInvoke"]?.(channel),
    },
  };
  new Function("require", preload)(() => electron);
  port1.onmessage = ({ data }) => page["testCommand"]?.(data);
  page["testSend"] = (message) => port1.postMessage(message);
  page["testEnd"] = (code) => listeners.get(channels.ended)?.({ ports: [] }, code);
  listeners.get(channels.connect)?.({ ports: [port2] });
}

/** The example's window with its real preload script, and Electron and warmer played by a test. */
export class WindowPage {
  readonly page: Page;
  readonly commands: Command[] = [];
  readonly invoked: string[] = [];
  readonly errors: string[] = [];
  onCommand: (command: Command) => void = () => {};

  private constructor(page: Page) {
    this.page = page;
  }

  static async open(browser: Browser, app: string): Promise<WindowPage> {
    const page = await browser.newPage();
    const window = new WindowPage(page);
    page.on("pageerror", (error) => window.errors.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") window.errors.push(message.text());
    });
    await page.exposeFunction("testCommand", (command: Command) => {
      window.commands.push(command);
      window.onCommand(command);
    });
    await page.exposeFunction("testInvoke", (channel: string) => window.invoked.push(channel));
    const preload = readFileSync(join(app, "dist/preload.cjs"), "utf8");
    await page.evaluateOnNewDocument(electronInPage, preload, CHANNELS);
    await page.goto(pathToFileURL(join(app, "dist/window.html")).href);
    return window;
  }

  async send(...messages: readonly Message[]): Promise<void> {
    for (const message of messages) {
      await this.page.evaluate((given) => {
        (globalThis as unknown as { testSend(message: unknown): void }).testSend(given);
      }, message);
    }
    await this.settle();
  }

  /** The warmer's process is gone. */
  async end(code: number): Promise<void> {
    await this.page.evaluate((given) => {
      (globalThis as unknown as { testEnd(code: number): void }).testEnd(given);
    }, code);
    await this.settle();
  }

  /** Two frames: what was sent has come, and is drawn. */
  async settle(): Promise<void> {
    await this.page.evaluate(
      () => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))),
    );
  }

  text(selector: string): Promise<string> {
    return this.page.$eval(
      selector,
      (element) => element.textContent?.replace(/\u00a0/g, " ") ?? "",
    );
  }

  /** Takes a screenshot, when somebody wants it. @returns what sticks out */
  async look(name: string, { width, height, scheme }: Look): Promise<string[]> {
    await this.page.setViewport({ width, height });
    await this.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await this.settle();
    if (SHOTS !== undefined) await this.page.screenshot({ path: join(SHOTS, `${name}.png`) });
    return this.#overflowing();
  }

  /** What is wider than the window. */
  #overflowing(): Promise<string[]> {
    return this.page.evaluate(() => {
      const { clientWidth, scrollWidth } = document.documentElement;
      const wide = [...document.body.querySelectorAll("*")].filter(
        (element) => element.getBoundingClientRect().right > clientWidth + 0.5,
      );
      return [
        ...(scrollWidth > clientWidth ? [`page: ${scrollWidth} > ${clientWidth}`] : []),
        ...wide.map((element) => `${element.tagName} ${element.id || element.className}`),
      ];
    });
  }
}
