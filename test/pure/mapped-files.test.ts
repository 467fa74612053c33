import { describe, expect, test } from "vitest";
import { filesOf, parseMappings } from "../../shims/linux-maps.ts";

const MAPS = `\
7f0000000000-7f0000002000 r--s 00000000 fe:00 11    /models/a.gguf
7f0000002000-7f0000003000 rw-p 00000000 00:00 0
7f0000003000-7f0000004000 r--s 00200000 fe:00 11    /models/a.gguf
7f0000004000-7f0000005000 r--p 00000000 fe:01 11    /other disk/b (deleted)
7f0000005000-7f0000006000 r--p 00000000 fe:00 12    /models/two\\012lines.gguf
7ffc00000000-7ffc00001000 rw-p 00000000 00:00 0     [stack]
`;

describe("the files of a process's mappings", () => {
  test("are each listed once, with all that is mapped of it", () => {
    expect(filesOf(parseMappings(MAPS))).toEqual([
      { paths: ["/models/a.gguf"], ino: 11n, byteLength: 3 * 4096 },
      { paths: ["/other disk/b (deleted)"], ino: 11n, byteLength: 4096 },
      {
        paths: ["/models/two\\012lines.gguf", "/models/two\nlines.gguf"],
        ino: 12n,
        byteLength: 4096,
      },
    ]);
  });

  test("are none of a process without mappings", () => {
    expect(filesOf(parseMappings(""))).toEqual([]);
  });
});
