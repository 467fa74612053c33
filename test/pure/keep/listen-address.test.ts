import { describe, expect, test } from "vitest";
import { hostAndPort, listenAddress } from "../../../src/cli/keep/address.ts";

describe("an address to listen on", () => {
  test.each([
    ["9100", "127.0.0.1", 9100],
    ["0", "127.0.0.1", 0],
    ["65535", "127.0.0.1", 65_535],
    ["127.0.0.1:9100", "127.0.0.1", 9100],
    ["0.0.0.0:9100", "0.0.0.0", 9100],
    ["192.0.2.7:80", "192.0.2.7", 80],
    ["localhost:9100", "localhost", 9100],
    ["[::1]:9100", "::1", 9100],
    ["[::]:9100", "::", 9100],
    ["[fe80::1%eth0]:9100", "fe80::1%eth0", 9100],
  ])("%s is read", (text, host, port) => {
    expect(listenAddress(text)).toEqual({ host, port });
  });

  test.each([
    "",
    " ",
    "nine",
    "65536",
    "-1",
    "9100.5",
    "1e3",
    ":9100",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:port",
    "256.0.0.1:9100",
    "::1:9100",
    "::1",
    "[::1]",
    "[127.0.0.1]:9100",
    "[::g]:9100",
    "example.com:9100",
    "http://127.0.0.1:9100",
    "127.0.0.1:9100/metrics",
    "127.0.0.1:9100 ",
    "127.0.0.1:9100\n",
  ])("%j is refused", (text) => {
    expect(() => listenAddress(text)).toThrow(/a port, or an address and a port/);
  });

  test("is shown as it stands in a URL", () => {
    expect(hostAndPort({ host: "::1", port: 9100 })).toBe("[::1]:9100");
    expect(hostAndPort({ host: "127.0.0.1", port: 9100 })).toBe("127.0.0.1:9100");
  });
});
