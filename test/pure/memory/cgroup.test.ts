import { expect, test } from "vitest";
import { memoryCgroups } from "../../../src/memory/cgroup.ts";
import { madeUpRoot as tree } from "../../helpers/made-up-root.ts";
import { onLinux } from "../../helpers/platform.ts";

const MIB = 1024 ** 2;
const V1 = "sys/fs/cgroup/memory";
const V2 = "sys/fs/cgroup";

const limits = (root: string) => memoryCgroups(root).map(({ limitBytes }) => limitBytes);

onLinux("cgroup v2", () => {
  test("gives limit, usage and what reclaim can take back", () => {
    const root = tree({
      "proc/self/cgroup": "0::/app\n",
      [`${V2}/app/memory.max`]: `${512 * MIB}\n`,
      [`${V2}/app/memory.current`]: `${300 * MIB}\n`,
      [`${V2}/app/memory.stat`]:
        "anon 1\nfile 9\nactive_file 1000\ninactive_file 234\nslab_reclaimable 5\n",
    });
    expect(memoryCgroups(root)).toEqual([
      {
        limitBytes: 512 * MIB,
        limitedBy: "memory.max",
        usageBytes: 300 * MIB,
        reclaimableBytes: 1234,
      },
    ]);
  });

  test("gives every level that has a limit, innermost first", () => {
    const root = tree({
      "proc/self/cgroup": "0::/slice/unit/pod\n",
      [`${V2}/slice/memory.max`]: "400\n",
      [`${V2}/slice/unit/memory.max`]: "max\n",
      [`${V2}/slice/unit/pod/memory.max`]: "900\n",
    });
    expect(limits(root)).toEqual([900, 400]);
  });

  test("takes max for no limit", () => {
    const root = tree({ "proc/self/cgroup": "0::/app\n", [`${V2}/app/memory.max`]: "max\n" });
    expect(memoryCgroups(root)).toEqual([]);
  });

  test.each([
    ["400\n", "900\n", 400, "memory.high"],
    ["900\n", "400\n", 400, "memory.max"],
    ["400\n", "max\n", 400, "memory.high"],
    ["max\n", "400\n", 400, "memory.max"],
    ["0\n", "max\n", 0, "memory.high"],
  ])(
    "takes the tighter of memory.high %j and memory.max %j",
    (high, max, limitBytes, limitedBy) => {
      const root = tree({
        "proc/self/cgroup": "0::/app\n",
        [`${V2}/app/memory.high`]: high,
        [`${V2}/app/memory.max`]: max,
      });
      expect(memoryCgroups(root)).toMatchObject([{ limitBytes, limitedBy }]);
    },
  );

  test("heeds memory.high of every level", () => {
    const root = tree({
      "proc/self/cgroup": "0::/slice/unit\n",
      [`${V2}/slice/memory.high`]: "300\n",
      [`${V2}/slice/unit/memory.high`]: "max\n",
      [`${V2}/slice/unit/memory.max`]: "900\n",
    });
    expect(limits(root)).toEqual([900, 300]);
  });

  test("takes no limit from a file that is empty, or no number", () => {
    const root = tree({
      "proc/self/cgroup": "0::/app\n",
      [`${V2}/app/memory.max`]: "\n",
      [`${V2}/app/memory.high`]: "1e3\n",
    });
    expect(memoryCgroups(root)).toEqual([]);
  });

  test("is found where it is mounted, whatever the place, and below the folder that is shown", () => {
    const mounts = [
      "22 1 0:20 / /proc rw,relatime - proc proc rw",
      "40 1 0:37 /docker/abc /mnt/my\\040groups rw,nosuid shared:9 master:1 - cgroup2 cgroup rw,nsdelegate",
    ];
    const root = tree({
      "proc/self/cgroup": "0::/docker/abc/app\n",
      "proc/self/mountinfo": `${mounts.join("\n")}\n`,
      "mnt/my groups/memory.max": "700\n",
      "mnt/my groups/app/memory.high": "600\n",
    });
    expect(limits(root)).toEqual([600, 700]);
  });

  test("is found by a process outside the folder its cgroup namespace shows", () => {
    const root = tree({
      "proc/self/cgroup": "0::/../../other/app\n",
      "proc/self/mountinfo": "40 1 0:37 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
      [`${V2}/other/app/memory.max`]: "5\n",
      [`${V2}/other/memory.max`]: "max\n",
    });
    expect(limits(root)).toEqual([5]);
  });

  test("finds the container's own group at the mount when the path is the host's", () => {
    const root = tree({
      "proc/self/cgroup": "0::/kubepods/pod1234\n",
      [`${V2}/memory.max`]: "777\n",
    });
    expect(limits(root)).toEqual([777]);
  });

  test("does not climb out of the mount by a path with dots", () => {
    const root = tree({
      "proc/self/cgroup": "0::/../../../outside\n",
      "outside/memory.max": "1\n",
      [`${V2}/memory.max`]: "777\n",
    });
    expect(limits(root)).toEqual([777]);
  });

  test("is found beside v1 in the hybrid layout", () => {
    const root = tree({
      "proc/self/cgroup": "4:cpu:/a\n0::/app\n",
      [`${V2}/unified/app/memory.max`]: "555\n",
    });
    expect(limits(root)).toEqual([555]);
  });
});

onLinux("cgroup v1", () => {
  test("gives limit, usage and what reclaim can take back, descendants included", () => {
    const root = tree({
      "proc/self/cgroup": "9:name=systemd:/x\n5:memory:/docker/abc\n1:cpu:/x\n0::/\n",
      [`${V1}/docker/abc/memory.limit_in_bytes`]: `${256 * MIB}\n`,
      [`${V1}/docker/abc/memory.usage_in_bytes`]: `${100 * MIB}\n`,
      [`${V1}/docker/abc/memory.stat`]:
        "inactive_file 1\nactive_file 2\ntotal_inactive_file 1000\ntotal_active_file 234\n",
    });
    expect(memoryCgroups(root)).toEqual([
      {
        limitBytes: 256 * MIB,
        limitedBy: "memory.limit_in_bytes",
        usageBytes: 100 * MIB,
        reclaimableBytes: 1234,
      },
    ]);
  });

  test("heeds the tightest limit above, which a container does not see", () => {
    const root = tree({
      "proc/self/cgroup": "5:memory:/docker/abc\n",
      "proc/self/mountinfo":
        "34 30 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
      [`${V1}/memory.limit_in_bytes`]: "9223372036854771712\n",
      [`${V1}/memory.stat`]: "cache 1\nhierarchical_memory_limit 500\n",
    });
    expect(memoryCgroups(root)).toMatchObject([
      { limitBytes: 500, limitedBy: "hierarchical_memory_limit" },
    ]);
  });

  test("gives every level that has a limit", () => {
    const root = tree({
      "proc/self/cgroup": "5:memory:/a/b\n",
      [`${V1}/memory.limit_in_bytes`]: "9223372036854771712\n",
      [`${V1}/a/memory.limit_in_bytes`]: "300\n",
      [`${V1}/a/b/memory.limit_in_bytes`]: "200\n",
    });
    expect(limits(root)).toEqual([200, 300]);
  });

  test.each([
    ["4 KiB pages", "9223372036854771712"],
    ["64 KiB pages", "9223372036854710272"],
    ["a 64-bit maximum", "18446744073709551615"],
  ])("takes the number that means no limit with %s for none", (_, limit) => {
    const root = tree({
      "proc/self/cgroup": "5:memory:/a\n",
      [`${V1}/a/memory.limit_in_bytes`]: `${limit}\n`,
    });
    expect(memoryCgroups(root)).toEqual([]);
  });

  test("is found among controllers that share a hierarchy, and by the whole name only", () => {
    const shared = tree({
      "proc/self/cgroup": "5:cpuset,memory,cpu:/a\n",
      [`${V1}/a/memory.limit_in_bytes`]: "123\n",
    });
    expect(limits(shared)).toEqual([123]);
    const other = tree({
      "proc/self/cgroup": "5:memory_other:/a\n",
      [`${V1}/a/memory.limit_in_bytes`]: "123\n",
    });
    expect(limits(other)).toEqual([]);
  });
});

onLinux("memoryCgroups", () => {
  test("is empty without cgroups, and where nothing is mounted", () => {
    expect(memoryCgroups(tree({}))).toEqual([]);
    expect(memoryCgroups(tree({ "proc/self/cgroup": "0::/app\n" }))).toEqual([]);
    expect(memoryCgroups(tree({ "proc/self/cgroup": "" }))).toEqual([]);
    expect(memoryCgroups(tree({ "proc/self/cgroup": "not a cgroup line\n" }))).toEqual([]);
  });

  test("takes usage and statistics that cannot be read for nothing", () => {
    const root = tree({
      "proc/self/cgroup": "0::/app\n",
      [`${V2}/app/memory.max`]: "512\n",
      [`${V2}/app/memory.current`]: "nonsense\n",
      [`${V2}/app/memory.stat`]: "active_file\ninactive_file nonsense\n",
    });
    expect(memoryCgroups(root)).toEqual([
      { limitBytes: 512, limitedBy: "memory.max", usageBytes: 0, reclaimableBytes: 0 },
    ]);
  });

  test("takes a path with a colon for what it is", () => {
    const root = tree({
      "proc/self/cgroup": "0::/a:b\n",
      [`${V2}/a:b/memory.max`]: "64\n",
    });
    expect(limits(root)).toEqual([64]);
  });

  test("tells about this machine without failing", () => {
    for (const { limitBytes, usageBytes } of memoryCgroups()) {
      expect(limitBytes).toBeGreaterThan(0);
      expect(usageBytes).toBeGreaterThanOrEqual(0);
    }
  });
});
