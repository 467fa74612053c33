import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { healthUrls, statusOf } from "../../../src/server/health.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

const LINE = {
  program: "llama-server",
  engine: "llama.cpp",
  host: undefined,
  port: undefined,
  apiPrefix: undefined,
} as const;

const hrefs = (line: Partial<Parameters<typeof healthUrls>[0]>) =>
  healthUrls({ ...LINE, ...line }).map(({ url }) => url.href);

describe("where a server answers", () => {
  test.each([
    ["nothing", undefined, "http://127.0.0.1:9000/health"],
    ["an empty host", "", "http://127.0.0.1:9000/health"],
    ["localhost", "localhost", "http://127.0.0.1:9000/health"],
    ["every address", "0.0.0.0", "http://127.0.0.1:9000/health"],
    ["every address of IPv6", "::", "http://[::1]:9000/health"],
    ["an address of IPv6", "fd00::7", "http://[fd00::7]:9000/health"],
    ["an address of IPv6 in brackets", "[fd00::7]", "http://[fd00::7]:9000/health"],
    ["an address", "192.168.1.7", "http://192.168.1.7:9000/health"],
    ["a name", "models.lan", "http://models.lan:9000/health"],
  ])("that listens on %s", (_, host, href) => {
    expect(hrefs({ host, port: 9000 })).toEqual([href]);
  });

  test("is both default ports where the line names none", () => {
    expect(hrefs({})).toEqual(["http://127.0.0.1:8080/health", "http://127.0.0.1:9931/health"]);
  });

  test.each([
    ["/api", "http://127.0.0.1:1/api/health"],
    ["/api/", "http://127.0.0.1:1/api/health"],
    ["", "http://127.0.0.1:1/health"],
    ["/", "http://127.0.0.1:1/health"],
  ])("has the prefix %j", (apiPrefix, href) => {
    expect(hrefs({ apiPrefix, port: 1 })).toEqual([href]);
  });

  test("is a socket of the file system", () => {
    const found = healthUrls({ ...LINE, host: "/run/llama.sock", apiPrefix: "/v" });
    expect(found).toEqual([
      { url: new URL("http://localhost/v/health"), socketPath: "/run/llama.sock" },
    ]);
  });

  test.each(["llama-cli", "/opt/llama-completion", "llama-bench"])(
    "is nowhere for %s",
    (program) => {
      expect(hrefs({ program })).toEqual([]);
    },
  );

  test.each([
    ["/opt/llama-server-cuda", "llama.cpp"],
    ["./model.llamafile", "llamafile"],
    ["ollama", "ollama"],
  ] as const)("is somewhere for %s", (program, engine) => {
    expect(hrefs({ program, engine })).toHaveLength(2);
  });

  test("is where a port says so, whatever the program is called", () => {
    expect(hrefs({ program: "llama-cli", port: 7 })).toEqual(["http://127.0.0.1:7/health"]);
  });

  test("is nowhere that cannot be asked, whatever the line says", () => {
    const words = fc.option(
      fc.oneof(fc.string(), fc.constantFrom("fe80::1%eth0", "*", "a b", "api", "/a?b#c", "[", "%")),
      { nil: undefined },
    );
    fc.assert(
      fc.property(
        words,
        fc.option(fc.oneof(fc.integer(), fc.double()), { nil: undefined }),
        words,
        (host, port, apiPrefix) => {
          for (const { url } of healthUrls({ ...LINE, host, port, apiPrefix })) {
            expect(url.protocol).toBe("http:");
            expect(url.href.endsWith("/health")).toBe(true);
          }
        },
      ),
    );
  });
});

describe("the status of an answer", () => {
  const folder = temporaryFolder();

  async function serve(answer: RequestListener, socketPath?: string) {
    const where = socketPath === undefined ? { port: 0, host: "127.0.0.1" } : { path: socketPath };
    const server = createServer(answer).listen(where);
    await once(server, "listening");
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const port = (server.address() as AddressInfo).port ?? 0;
    return { url: new URL(`http://127.0.0.1:${port}/health`) };
  }

  test.each([200, 503, 404])("is %i when the server says so", async (status) => {
    const paths: (string | undefined)[] = [];
    const { url } = await serve((request, response) => {
      paths.push(request.url);
      response.writeHead(status).end("{}");
    });
    expect(await statusOf({ url })).toBe(status);
    expect(paths).toEqual(["/health"]);
  });

  test.skipIf(process.platform === "win32")("comes through a socket too", async () => {
    const socketPath = join(folder, "health.sock");
    await serve((_, response) => response.writeHead(503).end(), socketPath);
    expect(await statusOf({ url: new URL("http://localhost/health"), socketPath })).toBe(503);
  });

  test("is none where nobody listens, nor where the answer is no HTTP", async () => {
    expect(await statusOf({ url: new URL("http://127.0.0.1:1/health") })).toBeUndefined();
    const { url } = await serve((request) => request.socket.end("what?\r\n\r\n"));
    expect(await statusOf({ url })).toBeUndefined();
  });

  test("is none when the signal fires first, nor when it has fired", async () => {
    const controller = new AbortController();
    const { url } = await serve(() => controller.abort());
    expect(await statusOf({ url }, controller.signal)).toBeUndefined();
    expect(await statusOf({ url }, controller.signal)).toBeUndefined();
  });
});
