import { expect, test } from "vitest";
import { CgroupRoom } from "../../../src/memory/cgroup-room.ts";
import { madeUpRoot, put } from "../../helpers/made-up-root.ts";
import { onLinux } from "../../helpers/platform.ts";

const MIB = 1024 ** 2;
const GROUP = "sys/fs/cgroup/app";

/** A group with a limit, and what it uses: unreclaimable, page cache. MiB. */
function group(limits: Readonly<Record<string, number>>, own: number, cache: number) {
  const root = madeUpRoot({ "proc/self/cgroup": "0::/app\n" });
  for (const [file, mib] of Object.entries(limits)) put(root, `${GROUP}/${file}`, `${mib * MIB}\n`);
  const use = (nextOwn: number, nextCache: number) => {
    put(root, `${GROUP}/memory.current`, `${(nextOwn + nextCache) * MIB}\n`);
    put(root, `${GROUP}/memory.stat`, `anon 1\ninactive_file ${nextCache * MIB}\nactive_file 0\n`);
  };
  use(own, cache);
  return { root, use };
}

const look = (root: string, sweptMib: number, readers = 1) =>
  new CgroupRoom(root).look(sweptMib * MIB, readers);

onLinux("the room in a cgroup", () => {
  test("is endless without a limit", () => {
    expect(look(madeUpRoot({}), 0)).toEqual({ bytes: Number.POSITIVE_INFINITY });
    const unlimited = madeUpRoot({
      "proc/self/cgroup": "0::/app\n",
      [`${GROUP}/memory.max`]: "max\n",
      [`${GROUP}/memory.high`]: "max\n",
    });
    expect(look(unlimited, 0)).toEqual({ bytes: Number.POSITIVE_INFINITY });
  });

  test.each(["memory.high", "memory.max"])("ends where %s does, and says so", (file) => {
    const { root, use } = group({ [file]: 100 }, 20, 0);
    expect(look(root, 0)).toHaveProperty("bytes");
    use(20, 60);
    expect(look(root, 60)).toHaveProperty("bytes");
    use(20, 77);
    expect(look(root, 77)).toEqual({ full: `the cgroup uses 97 MiB of ${file} 100 MiB` });
  });

  test("is there in a group that is full of other files' pages, until they are gone", () => {
    const { root } = group({ "memory.high": 1000 }, 100, 899);
    expect(look(root, 0)).toHaveProperty("bytes");
    expect(look(root, 700)).toHaveProperty("bytes");
    expect(look(root, 890)).toHaveProperty("full");
  });

  test("is not there in a group that stays above memory.high, whatever could be reclaimed", () => {
    const { root, use } = group({ "memory.high": 100 }, 40, 100);
    let now = 0;
    const room = new CgroupRoom(root, () => now);
    expect(room.look(10 * MIB, 1)).toHaveProperty("bytes");
    now = 900;
    expect(room.look(12 * MIB, 1)).toHaveProperty("bytes");
    // Below it for a moment: what was said before no longer counts.
    use(40, 60);
    expect(room.look(12 * MIB, 1)).toHaveProperty("bytes");
    use(40, 100);
    now = 1500;
    expect(room.look(14 * MIB, 1)).toHaveProperty("bytes");
    now = 2500;
    expect(room.look(14 * MIB, 1)).toEqual({
      full: "the cgroup uses 140 MiB of memory.high 100 MiB",
    });
  });

  test("is there for what costs the group nothing: pages of another group", () => {
    const { root } = group({ "memory.max": 100 }, 20, 10);
    expect(look(root, 5000)).toHaveProperty("bytes");
  });

  test("is read in ever smaller parts before memory.high, by each of several readers", () => {
    const bytes = (cache: number, readers: number) => {
      const { root } = group({ "memory.high": 1000 }, 100, cache);
      const found = look(root, cache, readers);
      return "bytes" in found ? found.bytes / MIB : null;
    };
    expect(bytes(500, 4)).toBe(38.75);
    expect(bytes(700, 4)).toBe(13.75);
    expect(bytes(880, 4)).toBeNull();
  });

  test("suffices for a sweep that passed a gate", () => {
    for (const limit of [20, 64, 300, 5000]) {
      for (const readers of [1, 8]) {
        const fits = Math.floor(0.8 * limit);
        const { root } = group({ "memory.max": limit }, 0, fits);
        expect(look(root, fits, readers), `${limit}`).toHaveProperty("bytes");
      }
    }
  });

  test("knows whether the limit was hit meanwhile", () => {
    const { root } = group({ "memory.high": 100 }, 1, 1);
    put(root, `${GROUP}/memory.events.local`, "low 9\nhigh 5\nmax 0\noom 0\n");
    const room = new CgroupRoom(root);
    expect(room.wasHit).toBe(false);
    put(root, `${GROUP}/memory.events.local`, "low 9\nhigh 6\nmax 0\noom 0\n");
    expect(room.wasHit).toBe(true);
  });

  test("heeds a limit that is set while it looks", () => {
    const { root } = group({ "memory.max": 5000 }, 20, 60);
    let nowMs = 0;
    const room = new CgroupRoom(root, () => nowMs);
    expect(room.look(60 * MIB, 1)).toEqual({ bytes: Number.POSITIVE_INFINITY });
    put(root, `${GROUP}/memory.high`, `${80 * MIB}`);
    nowMs = 2000;
    expect(room.look(60 * MIB, 1)).toHaveProperty("full");
  });
});
