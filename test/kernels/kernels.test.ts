import { beforeAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { casesLike } from "./guest/cases.ts";
import type { Message } from "./guest/message.ts";
import { KERNELS } from "./kernels.ts";
import { Unavailable } from "./machine/cache.ts";
import { missingPrograms } from "./machine/command.ts";
import { type Image, makeImage } from "./machine/image.ts";
import { type Boot, boot, emulatorOf } from "./machine/qemu.ts";

/** Of one guest, from power on to power off: two to three minutes, on a machine that does nothing else. */
const BOOT_MS = 900_000;

/** All, or those whose titles `TEST_KERNELS` lists with commas: `6.1 amd64,6.12 arm64`. */
const titles = process.env["TEST_KERNELS"]?.split(",");
const chosen = KERNELS.filter(({ title }) => titles?.includes(title) ?? true);
const unknown = titles?.filter((title) => !KERNELS.some((kernel) => kernel.title === title)) ?? [];
if (unknown.length > 0) throw new Error(`TEST_KERNELS: no kernel is called ${unknown.join(", ")}`);

/** Those that `PREFAULT_KERNELS_CASES` matches. */
const pattern = process.env["PREFAULT_KERNELS_CASES"] ?? "";
const cases = casesLike(pattern);

describe.each(chosen.map((kernel) => [kernel.title, kernel] as const))("Linux %s", (_, kernel) => {
  const folder = temporaryFolder();
  let booted: Boot | undefined;
  let unavailable: string | undefined;

  beforeAll(async () => {
    unavailable = missingPrograms(emulatorOf(kernel));
    const image = unavailable === undefined ? await imageOrReason() : undefined;
    if (image === undefined) return;
    booted = await boot(kernel, image, pattern, BOOT_MS);
    console.log(summary(kernel.title, booted));
  });

  async function imageOrReason(): Promise<Image | undefined> {
    try {
      return await makeImage(kernel, folder);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      unavailable = error.message;
      return undefined;
    }
  }

  test.for(cases.map((each) => [each.name] as const))("%s", ([name], { skip }) => {
    if (unavailable !== undefined) return skip(unavailable);
    const message: Message | undefined = booted?.messages.find((each) => each.case === name);
    if (message?.skipped !== undefined) return skip(message.skipped);
    expect(
      message,
      `nothing came from the guest; its console ended:\n${booted?.tail}`,
    ).toBeDefined();
    expect(message?.ok, String(message?.detail)).toBe(true);
  });
});

/** What was seen in the guest, a line for each case. */
function summary(title: string, { messages, seconds }: Boot): string {
  const lines = messages.map(({ case: name, ok, seconds, skipped, detail }) => {
    const outcome = skipped === undefined ? (ok ? "passed" : "FAILED") : "skipped";
    const seen = skipped ?? (ok && detail !== undefined ? JSON.stringify(detail) : "");
    return `  ${outcome} in ${seconds} s: ${name} ${seen}`;
  });
  return [`Linux ${title}: from power on to power off ${seconds.toFixed(0)} s`, ...lines].join(
    "\n",
  );
}
