import { describe, expect, test } from "vitest";
import { decideMoment, flagsForAnEarlierMoment } from "../../../src/server/moment.ts";

const reads = { defersExperts: false, warmsUp: true };
const urls = [{ url: new URL("http://127.0.0.1:8080/health") }];

describe("the moment to warm", () => {
  test("is at once for a model that fits, whatever the engine does", () => {
    for (const launch of [undefined, reads, { defersExperts: true, warmsUp: false }]) {
      const moment = decideMoment({ launch, isPart: false, urls, isGiven: false });
      expect(moment).toEqual({ when: "beside", why: "all of it fits in memory" });
    }
  });

  test("of a part is when the engine has read its model", () => {
    const moment = decideMoment({ launch: reads, isPart: true, urls, isGiven: false });
    expect(moment).toMatchObject({ when: "ready", urls, isGiven: false });
    expect(moment.why).toMatch(/reads the whole model/);
  });

  test.each([
    [{ defersExperts: true, warmsUp: true }, "ready"],
    [{ defersExperts: false, warmsUp: false }, "ready"],
    [{ defersExperts: true, warmsUp: false }, "beside"],
    [undefined, "ready"],
  ])("of a part beside %j is %s", (launch, when) => {
    expect(decideMoment({ launch, isPart: true, urls: [], isGiven: false }).when).toBe(when);
  });

  test("is the one that was given, also of a model that fits", () => {
    for (const isPart of [false, true]) {
      const moment = decideMoment({ launch: reads, isPart, urls, isGiven: true });
      expect(moment).toEqual({ when: "ready", why: "--after says so", urls, isGiven: true });
    }
  });
});

describe("flags that allow an earlier moment", () => {
  test.each([
    [{ defersExperts: false, warmsUp: true }, "--defer-experts --no-warmup"],
    [{ defersExperts: true, warmsUp: true }, "--no-warmup"],
    [{ defersExperts: false, warmsUp: false }, "--defer-experts"],
    [{ defersExperts: true, warmsUp: false }, undefined],
  ])("of ik_llama.cpp with %j are those that are missing", (given, flags) => {
    expect(flagsForAnEarlierMoment({ engine: "ik_llama.cpp", ...given })).toBe(flags);
  });

  test("are not there for another engine, nor for an unknown command", () => {
    expect(flagsForAnEarlierMoment({ engine: "llama.cpp", ...reads })).toBeUndefined();
    expect(flagsForAnEarlierMoment(undefined)).toBeUndefined();
  });
});
