import { describe, expect, test } from "vitest";
import { readRunArguments } from "../../src/cli/run/arguments.ts";
import { asUsageError } from "../../src/cli/usage-error.ts";

const SERVER = ["llama-server", "-m", "model.gguf", "-ngl", "20"];

describe("the arguments of prefault run", () => {
  test("are ours before --, and the command's after it", () => {
    const given = ["--budget", "4G", "--profile", "auto", "--lock", "--", ...SERVER];
    expect(readRunArguments(given)).toMatchObject({
      flags: { budget: 4 * 1024 ** 3, profile: "auto", lock: true },
      files: [],
      line: SERVER,
    });
  });

  test("may lack --, which npm exec takes for itself", () => {
    const given = ["--budget", "auto", "--after", "http://host/", "--lock", ...SERVER, "--lock"];
    expect(readRunArguments(given)).toMatchObject({
      flags: { budget: "auto", after: "http://host/", lock: true },
      files: [],
      line: [...SERVER, "--lock"],
    });
  });

  test("name files before --", () => {
    const { files, line } = readRunArguments(["a.gguf", "b.gguf", "--", "./start.sh", "x"]);
    expect(files).toEqual(["a.gguf", "b.gguf"]);
    expect(line).toEqual(["./start.sh", "x"]);
  });

  test.each([
    [["-ngl", "20", "-cmoe"]],
    [["-ngl=20", "--cpu_moe"]],
    [["--gpu-layers", "20", "--cpu-moe"]],
  ])("are spelled as llama.cpp's are: %j", (flags) => {
    for (const end of [["--"], []]) {
      const read = readRunArguments([...flags, ...end, "./start.sh"]);
      expect(read.flags).toMatchObject({ nGpuLayers: 20, cpuMoe: true });
      expect(read.line).toEqual(["./start.sh"]);
    }
  });

  test("leave the command's own as they are, whatever they look like", () => {
    const line = ["sh", "-c", "exit 3", "--help", "--json", "-ngl=1", "--", "--budget", "", "--"];
    expect(readRunArguments(["-q", "--", ...line])).toMatchObject({ flags: { quiet: true }, line });
    expect(readRunArguments(["--", "--budget", "1"]).line).toEqual(["--budget", "1"]);
  });

  test("take a value for a value, also when it looks like a flag", () => {
    const read = readRunArguments(["-ot", "-m=CPU", "--profile", "--lock", "--", "x"]);
    expect(read.flags).toMatchObject({ profile: "--lock" });
    expect(read.flags.lock).toBeUndefined();
    expect(read.line).toEqual(["x"]);
  });

  test("without a command have an empty line", () => {
    for (const given of [[], ["--"], ["--lock"], ["model.gguf", "--"], ["--budget", "1G"]]) {
      expect(readRunArguments(given).line).toEqual([]);
    }
  });

  test.each([
    [["--loock", "--", "x"], /unknown option '--loock'/],
    [["--budget", "much", "--", "x"], /--budget <SIZE>.*must be a size/],
    [["--after"], /--after <URL>.*argument missing/],
    [["--workers", "two", "x"], /must be a whole number/],
    [["--workers", "0", "x"], /from 1 to 16/],
    [["--workers", "17", "x"], /from 1 to 16/],
    [["--n-cpu-moe", "-1", "x"], /zero or more/],
    [["--n-cpu-ffn", "-1", "x"], /zero or more/],
    [["-t", "8", "--", "llama-server"], /unknown option '-t'.*after --/],
  ])("are refused: %j", (given, why) => {
    const refusal = () => {
      try {
        return readRunArguments(given);
      } catch (thrown) {
        return asUsageError(thrown);
      }
    };
    expect(refusal()).toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
      message: expect.stringMatching(why),
    });
  });
});
