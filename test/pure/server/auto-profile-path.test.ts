import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { autoProfilePath } from "../../../src/server/auto-profile.ts";
import { paperModel } from "../experts/models.ts";

describe("the file of a recorded profile", () => {
  const model = paperModel();
  const folderOf = (env: NodeJS.ProcessEnv) => join(autoProfilePath(model, env), "..");
  const state = join(homedir(), ".local", "state");

  test("lies in the user's folder for state", () => {
    expect(folderOf({})).toBe(join(state, "prefault", "profiles"));
    expect(folderOf({ XDG_STATE_HOME: "/var/state" })).toBe(join("/var/state/prefault/profiles"));
    expect(folderOf({ LOCALAPPDATA: "/app/data" })).toBe(join("/app/data/prefault/profiles"));
    expect(folderOf({ XDG_STATE_HOME: "", LOCALAPPDATA: "/app" })).toBe(
      join("/app/prefault/profiles"),
    );
  });

  test("lies there too when the environment names a folder that is not absolute", () => {
    // "If an implementation encounters a relative path, it should consider the path invalid" (XDG).
    expect(folderOf({ XDG_STATE_HOME: "state" })).toBe(join(state, "prefault", "profiles"));
  });

  test("is another for another model, and the same for the same", () => {
    const of = (paper: Parameters<typeof paperModel>[0]) =>
      autoProfilePath(paperModel(paper), { XDG_STATE_HOME: "/s" });
    expect(of({})).toBe(of({}));
    const names = [of({}), of({ layers: 4 }), of({ experts: 16 })];
    expect(new Set(names).size).toBe(names.length);
  });

  test("has a name without letters that a file system may refuse", () => {
    const [first] = model.files;
    const path = "/models/a b:c\n*?模.gguf";
    const odd = { ...model, files: [{ byteLength: 0, ...first, path }] };
    const [name = ""] = autoProfilePath(odd, { XDG_STATE_HOME: "/s" }).split(/[/\\]/).slice(-1);
    expect(name).toMatch(/^a_b_c____.gguf\.[\w-]+\.json$/);
  });
});
