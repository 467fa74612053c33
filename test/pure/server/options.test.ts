import { describe, expect, test } from "vitest";
import { afterUrl } from "../../../src/server/options.ts";

describe("the URL to wait for", () => {
  test("is taken as text and as a URL", () => {
    expect(afterUrl({})).toBeUndefined();
    expect(afterUrl({ after: "http://127.0.0.1:1/x?y" })?.href).toBe("http://127.0.0.1:1/x?y");
    expect(afterUrl({ after: new URL("https://host/ready") })?.href).toBe("https://host/ready");
  });

  test.each([
    "",
    "ready",
    "/health",
    "localhost:8080",
    "ftp://host/",
    "file:///etc/passwd",
    "http://",
  ])("is refused when it is %j", (after) => {
    expect(() => afterUrl({ after })).toThrow(
      expect.objectContaining({
        code: "PREFAULT_INVALID_OPTION",
        message: `after must be an http: or https: URL, got ${JSON.stringify(after)}`,
      }),
    );
  });
});
