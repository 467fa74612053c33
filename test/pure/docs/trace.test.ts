import { describe, expect, test } from "vitest";
import { sectionsOf } from "./bench-tables.ts";
import { type Exception, problemsOf } from "./trace.ts";

const sections = sectionsOf(`
<!-- fills -->
### From a fast disk, warm

|  | first token, ms | fill, GiB/s | then tokens a second | minor faults |
| --- | ---: | ---: | ---: | ---: |
| nothing | 1820.3 (1688.0–2116.6) | 0.50 | 2.0 | 28355 |
| prefault | 14.0 (11.7–52.0) | 2.61 (2.56–2.67) | 25.1 | 1967 |
| vmtouch -t | *not installed* |  |  |  |

### From a slow disk

|  | the whole call, s | most memory, MiB |
| --- | ---: | ---: |
| prefault | 7.411 | 512 |

- system: linux x64, kernel 6.18.44-fc, Node v20.20.2
- run of 2026-11-26: fills; files of 15.83 GiB, 2 rounds
<!-- /fills -->
<!-- later -->
<!-- /later -->
`);

const problems = (text: string, exceptions: readonly Exception[] = []) =>
  problemsOf({ file: "page.md", text }, sections, exceptions);
const marked = (text: string, names = "fills") => problems(`<!-- figures: ${names} -->\n${text}\n`);

describe("a figure is traced", () => {
  test.each([
    ["in the unit of its column", "It takes 14.0 ms, and fills at 2.61 GiB/s."],
    ["rounded to what the text shows", "It takes 1,820 ms and 14 ms, and 25 tokens a second."],
    ["in another unit of the same kind", "It takes 0.014 s, or 1.8203 seconds; 7,411 ms."],
    ["without a unit of its own", "It fills with 0.50, and prefault with 2.61 GiB/s."],
    ["at the beginning of a range", "A fill of 0.50 to 2.61 GiB/s."],
    ["across the end of a line", "It decodes 25.1 tokens\n  a second."],
    ["in a table", "| prefault | 14 ms |\n| nothing | **1,820 ms** |"],
    ["as a quotient of two medians of a column", "It is 5.2 times as fast, or 130 times."],
    ["as a size or a version that the machine has", "15.8 GiB, 0.50 GiB, Linux 6.18"],
    ["unless it is a whole size or number", "A disk that reads 128 KiB ahead, 2 cores, 14 ms."],
  ])("%s", (_, text) => {
    expect(marked(text)).toEqual([]);
  });

  test.each([
    ["has another value", "14.1 ms", "14.1 ms", "14"],
    ["is the least of the rounds", "11.7 ms", "11.7 ms", "14"],
    ["is there in another unit", "2.61 s", "2.61 s", "1.82"],
    ["is a number of faults there", "1967 s", "1967 s", "7.411"],
    ["is a quotient of no two medians", "5.3 times", "5.3 times", "5.22"],
    ["has no unit of its own", "2.62, and there 2.61 GiB/s", "2.62", "2.61"],
    ["begins a range", "15 to 1,820 ms", "15 ms", "14"],
  ])("and found missing where it %s", (_, text, shown, closest) => {
    expect(marked(text)).toEqual([
      `page.md:2: ${shown} is not in fills of bench/README.md (nearest: ${closest})`,
    ]);
  });

  test("to the tables that its text names, whose titles may have a comma", () => {
    expect(marked("14.0 ms, 7.4 s", "fills (fast disk, warm), fills (slow)")).toEqual([]);
    expect(marked("14.0 ms", "fills (slow)")).toEqual([
      "page.md:2: 14.0 ms is not in fills (slow) of bench/README.md (nearest: 7411)",
    ]);
  });

  test("to the columns that its text names", () => {
    expect(marked("5.2 times as fast", "fills (fast disk) (fill, GiB/s)")).toEqual([]);
    expect(marked("130 times as fast", "fills (fill, GiB/s)")).toEqual([
      "page.md:2: 130 times is not in fills (fill, GiB/s) of bench/README.md (nearest: 5.22)",
    ]);
  });
});

describe("a page is told", () => {
  test("of a section that is not there, or is empty", () => {
    expect(marked("14.0 ms", "fill")).toEqual(["page.md:1: bench/README.md has no fill"]);
    expect(marked("14.0 ms", "fills (tape)")).toEqual([
      "page.md:1: bench/README.md has no fills (tape)",
    ]);
    expect(marked("14.0 ms", "later")).toEqual([
      "page.md:2: 14.0 ms is not in later (empty) of bench/README.md (nothing of its kind is there)",
    ]);
  });

  test("of a comment that no figure follows", () => {
    expect(marked("\n14.0 ms")).toHaveLength(2);
    expect(marked("It is fast.")).toEqual([
      "page.md:1: no figure before the next empty line is of fills",
    ]);
  });

  test.each(["14.0 ms", "9 ms", "2.5 GiB/s", "1.5 s", "25 tokens a second", "1.5 times as fast"])(
    "of %s without a comment",
    (figure) => {
      const text = `# A page\n\n<!-- figures: fills -->\n14.0 ms\n\nIt has\n${figure}.\n`;
      expect(problems(text)).toEqual([
        `page.md:7: ${figure.replace(" as fast", "")} is measured, and no <!-- figures: SECTION --> above it says where`,
      ]);
    },
  );

  test("of nothing that is code, a setting or a version", () => {
    const code = "`14.1 ms` in\n\n```text\n0.3 s\n```\n";
    expect(problems(`Every 30 s, 8 MiB, v1.5.1 s, ${code}`)).toEqual([]);
  });

  test("of no phrase that is known not to be measured", () => {
    const known = [{ file: "page.md", phrase: "every 9 ms", reason: "a setting" }];
    expect(problems("It looks every\n9 ms.", known)).toEqual([]);
    expect(problems("It looks every 8 ms.", known)).toHaveLength(1);
  });
});
