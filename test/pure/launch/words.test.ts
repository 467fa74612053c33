import fc from "fast-check";
import { expect, test } from "vitest";
import { LLAMA } from "../../../src/launch/llama-options.ts";
import { placementOfModel } from "../../../src/launch/placement-of-line.ts";
import { readEnvironment } from "../../../src/launch/read-environment.ts";
import { readWords } from "../../../src/launch/read-words.ts";
import { Settings } from "../../../src/launch/settings.ts";
import { splitShellWords } from "../../../src/launch/shell-words.ts";
import { onPosix } from "../../helpers/platform.ts";

onPosix("words of a shell", () => {
  test.each([
    ["a b  c", [["a", "b", "c"]]],
    ["a 'b c' \"d e\" f\\ g", [["a", "b c", "d e", "f g"]]],
    ["a \\\n  b", [["a", "b"]]],
    ["a # b\nc", [["a"], ["c"]]],
    ["a && b; c | d &", [["a"], ["b"], ["c"], ["d"]]],
    ["a > log 2>&1 -b", [["a", "-b"]]],
    ["a >>log 2>/dev/null < in b", [["a", "b"]]],
    ["~/m $HOME/m \"$HOME/x\" '$HOME' $UNSET", [["/h/m", "/h/m", "/h/x", "$HOME", "$UNSET"]]],
    [".ffn_(up|down)_exps.=CPU a;", [[".ffn_(up|down)_exps.=CPU", "a"]]],
    ['"a\\"b\\c"', [['a"b\\c']]],
    ["'not closed", [["not closed"]]],
    ["'' a", [["", "a"]]],
    ["", []],
  ])("%j", (text, commands) => {
    expect(splitShellWords(text, { HOME: "/h" })).toEqual(commands);
  });

  test("quoted words come back as they were", () => {
    const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (words) => {
        expect(splitShellWords(words.map(quote).join(" "))).toEqual([words]);
      }),
    );
  });
});

onPosix("any spelling", () => {
  const setting = fc.record(
    {
      gpuLayers: fc.integer({ min: 0, max: 200 }),
      nCpuMoe: fc.integer({ min: 1, max: 99 }),
      nCpuFfn: fc.integer({ min: 1, max: 99 }),
      cpuMoe: fc.constant(true as const),
      isLazyOff: fc.constant(true as const),
      isRepackOff: fc.constant(true as const),
      overrides: fc.array(
        fc.tuple(
          fc.constantFrom("exps", "attn_.*", "blk\\.[0-3]\\."),
          fc.constantFrom("CPU", "CUDA0"),
        ),
        { minLength: 1, maxLength: 3 },
      ),
    },
    { requiredKeys: ["gpuLayers"] },
  );
  const NOISE = [
    ["--host", "::1"],
    ["-p", "--cpu-moe"],
    ["-fa", "on"],
    ["--jinja"],
    ["-t", "8"],
    ["--chat-template-kwargs", '{"-ngl":1}'],
    ["-r", "-ot"],
    ["--temp", "-1"],
    ["-nkvo"],
  ];

  const spelled = (name: string, value: string, how: number): string[] => {
    const flags = LLAMA.options.get(name as "gpuLayers")?.flags ?? [];
    const flag = flags[how % flags.length] ?? "";
    const written =
      how % 3 === 0 && flag.startsWith("--") ? flag.replaceAll(/(?<!^|-)-/g, "_") : flag;
    return how % 5 === 0 ? [`${written}=${value}`] : [written, value];
  };

  test("gives the same placement, whatever stands around it and in whatever order", () => {
    fc.assert(
      fc.property(
        setting,
        fc.array(fc.nat(1000), { minLength: 12, maxLength: 12 }),
        fc.array(fc.constantFrom(...NOISE)),
        (wanted, how, noise) => {
          const overrides = wanted.overrides ?? [];
          const pieces: string[][] = [
            spelled("gpuLayers", String(wanted.gpuLayers), how[0] ?? 0),
            ...overrides.map(([pattern, buffer], index) =>
              spelled("overrideTensor", `${pattern}=${buffer}`, how[index + 1] ?? 0),
            ),
            ...(wanted.nCpuMoe ? [spelled("nCpuMoe", String(wanted.nCpuMoe), how[5] ?? 0)] : []),
            ...(wanted.nCpuFfn ? [spelled("nCpuFfn", String(wanted.nCpuFfn), how[6] ?? 0)] : []),
            ...(wanted.cpuMoe ? [[(how[7] ?? 0) % 2 ? "-cmoe" : "--cpu_moe"]] : []),
            ...(wanted.isLazyOff ? [["-lzm", "off"]] : []),
            ...(wanted.isRepackOff ? [[(how[8] ?? 0) % 2 ? "-nr" : "--no-repack"]] : []),
          ];
          for (const [index, piece] of noise.entries()) {
            pieces.splice((how[index % how.length] ?? 0) % (pieces.length + 1), 0, piece);
          }
          const { source, unknown } = readWords(pieces.flat(), LLAMA);
          const read = placementOfModel("llama.cpp", new Settings([source]));
          expect(unknown).toEqual([]);
          expect(read.layers).toEqual({ kind: "known", layers: wanted.gpuLayers });
          expect(read.placement).toEqual({
            ...(overrides.length > 0 && {
              overrides: overrides.map(([pattern, buffer]) => ({
                pattern,
                buffer,
                unmatched: "note",
              })),
            }),
            ...(wanted.nCpuMoe && { nCpuMoe: wanted.nCpuMoe }),
            ...(wanted.nCpuFfn && { nCpuFfn: wanted.nCpuFfn }),
            ...(wanted.cpuMoe && { cpuMoe: true }),
            ...(wanted.isLazyOff && { lazyTables: "include" }),
            ...(wanted.isRepackOff && { repack: false }),
          });
        },
      ),
    );
  });

  test("a variable means what its flag means", () => {
    for (const [name, { env, takes, off }] of LLAMA.options) {
      for (const variable of env) {
        const value = takes === "nothing" ? "true" : "7";
        expect(readEnvironment({ [variable]: value }, LLAMA).get(name)).toMatchObject([
          { value: takes === "nothing" ? "1" : "7", by: variable },
        ]);
        if (takes !== "nothing") continue;
        const no = readEnvironment({ [variable]: "off" }, LLAMA).get(name);
        expect(no?.[0]?.value).toBe(off.length > 0 ? "0" : undefined);
      }
    }
  });

  test("no flag and no variable has two meanings", () => {
    const flags = [...LLAMA.options.values()].flatMap((each) => [...each.flags, ...each.off]);
    const variables = [...LLAMA.options.values()].flatMap(({ env, offEnv }) => [...env, ...offEnv]);
    for (const all of [flags, variables]) expect(new Set(all).size).toBe(all.length);
    expect(flags.filter((flag) => LLAMA.otherValued.has(flag))).toEqual([]);
  });
});
