import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { writeSyntheticModel } from "../../models/synthetic-model.ts";
import type { Ended } from "./cli.ts";
import { type GuestCase, onlyOnSome } from "./guest.ts";
import { Pod, type RunningContainer } from "./pod.ts";
import { pageBytes } from "./raw.ts";
import { disk, judgedBytes, MIB, makeCold, until } from "./system.ts";

/** Whom a model belongs to: the manifests' user, its group (`fsGroup`), or another user. */
const USER = { uid: 1000, gid: 1000, mode: 0o644 };
const GROUP = { uid: 0, gid: 1000, mode: 0o664 };
const OTHER = { uid: 0, gid: 0, mode: 0o644 };

/** In a container of 512 MiB, of which Node takes 60 to 100; of twice that where a page is larger. */
const FITS = 256 * MIB;
const DOES_NOT_FIT = (pageBytes > 4096 ? 1200 : 600) * MIB;

/** The header, and what is read ahead of it. */
const HEADER_BYTES = 2 * MIB;

/** The manifests of `examples/kubernetes`, container by container: who is charged, what stays, what the gate sees. */
export const manifestCases: readonly GuestCase[] = [
  {
    name: "init-container.yaml: what it warmed stays, charged to the pod, and the server is charged for none of it",
    seconds: 300,
    run: () =>
      withPod("init-container", { byteLength: FITS, owner: GROUP }, async (pod, model) => {
        const warm = pod.start("warm");
        const peak = watchCharge(warm);
        const ended = await warm.ended;
        assert.equal(ended.code, 0, ended.stderr);
        const warmed = judgedBytes(model);
        const afterInit = chargedFileBytes(pod);
        const server = pod.start("llama-server");
        await ready(8080, "/health", server);
        const ofServer = chargedFileBytes(server);
        const afterServer = chargedFileBytes(pod);
        const stopped = await stop(pod, server);
        const seen = {
          ...inMib({ warmed, peak: peak(), afterInit, ofServer, afterServer }),
          stdout: stopped.stdout,
          stderr: ended.stderr,
        };
        assert.equal(stopped.code, 0, JSON.stringify(stopped));
        assert.ok(warmed > 0.9 * FITS, JSON.stringify(seen));
        assert.match(ended.stdout, /^resident: (< )?\d\S* % before, 100\.0 % of /);
        assert.ok(peak() > 0.9 * warmed, JSON.stringify(seen));
        assert.ok(afterInit > 0.97 * warmed, JSON.stringify(seen));
        assert.ok(ofServer < 0.1 * warmed + HEADER_BYTES, JSON.stringify(seen));
        return seen;
      }),
  },
  {
    name: "init-container.yaml: what exceeds 80 % of the container's limit is skipped, and the pod goes on",
    seconds: 180,
    run: () =>
      withPod("init-container", { byteLength: DOES_NOT_FIT }, async (pod, model) => {
        const { code, stderr } = await pod.start("warm").ended;
        assert.equal(code, 0, stderr);
        assert.match(stderr, /exceeds 80% of 0\.\d\d GiB/);
        assert.ok(judgedBytes(model) < 0.1 * DOES_NOT_FIT, stderr);
        return { stderr };
      }),
  },
  {
    name: "daemonset.yaml: ready when warm, charged itself, and a server of another pod is charged for none of it",
    seconds: 300,
    run: () =>
      withPod("daemonset", { byteLength: FITS }, async (pod, model) => {
        const keeper = pod.start("warm");
        await ready(9100, "/ready", keeper);
        const warmed = judgedBytes(model);
        const ofKeeper = chargedFileBytes(keeper);
        const seen = await withServer(model, async (server) => ({
          ...inMib({ warmed, ofKeeper, ofServer: chargedFileBytes(server) }),
        }));
        const stopped = await stop(pod, keeper);
        assert.equal(stopped.code, 0, JSON.stringify(stopped));
        assert.ok(warmed > 0.9 * FITS, JSON.stringify(seen));
        assert.ok(ofKeeper > 0.97 * warmed, JSON.stringify(seen));
        assert.ok((seen.ofServer ?? 0) < (0.1 * FITS) / MIB, JSON.stringify(seen));
        await pod.remove();
        const stays = judgedBytes(model);
        assert.ok(stays > 0.97 * warmed, `${stays} of ${warmed} stay`);
        return {
          ...seen,
          stays: stays / MIB,
          seconds: stopped.graceSeconds,
          stderr: stopped.stderr,
        };
      }),
  },
  {
    name: "daemonset.yaml: a model that belongs to another user is filled again from time to time",
    seconds: 300,
    run: ({ kernel }) => {
      onlyOnSome(kernel);
      return withPod("daemonset", { byteLength: FITS, owner: OTHER }, async (pod, model) => {
        const keeper = pod.start("warm");
        await ready(9100, "/ready", keeper);
        const warmed = judgedBytes(model);
        makeCold(model);
        await until(() => judgedBytes(model) > 0.9 * FITS, "it was filled again", 180_000);
        const { code, stderr } = await stop(pod, keeper);
        assert.equal(code, 0, stderr);
        assert.ok(warmed > 0.9 * FITS, stderr);
        assert.match(stderr, /filled again from time to time/);
        return { stderr };
      });
    },
  },
  {
    name: "run.yaml: the server's container is charged, and SIGTERM to the first process ends the server",
    seconds: 300,
    run: () =>
      withPod("run", { byteLength: FITS }, async (pod, model) => {
        const server = pod.start("llama-server");
        await ready(8080, "/health", server);
        // The server's own reading comes first.
        const isWarmed = () => server.output.stderr.includes("Pre-faulted");
        await until(isWarmed, "it was warmed").catch((error: Error) =>
          assert.fail(`${error.message}: ${server.output.stderr}`),
        );
        const ofServer = chargedFileBytes(server);
        const warmed = judgedBytes(model);
        const stopped = await stop(pod, server);
        const seen = { ...inMib({ warmed, ofServer }), ...stopped };
        assert.equal(stopped.code, 0, JSON.stringify(seen));
        assert.equal(stopped.stdout, "ready\nTERM\n", JSON.stringify(seen));
        assert.ok(ofServer > 0.97 * warmed, JSON.stringify(seen));
        return seen;
      }),
  },
];

/** Runs `use` on a pod whose volume has a model of about so many bytes, of which nothing is resident. */
async function withPod<T>(
  manifest: string,
  { byteLength, owner = USER }: { readonly byteLength: number; readonly owner?: typeof USER },
  use: (pod: Pod, model: string) => Promise<T>,
): Promise<T> {
  const models = join(disk("ext4"), "models");
  mkdirSync(models, { recursive: true });
  const path = join(models, "model.gguf");
  rmSync(path, { force: true });
  await writeSyntheticModel({ kind: "moe", path, targetBytes: byteLength, contents: "hole" });
  chownSync(path, owner.uid, owner.gid);
  chmodSync(path, owner.mode);
  makeCold(path);
  const pod = new Pod(manifest, models);
  try {
    return await use(pod, path);
  } finally {
    await pod.remove();
  }
}

/** A server in a pod of its own that maps the same volume. */
async function withServer<T>(
  model: string,
  use: (server: RunningContainer) => Promise<T>,
): Promise<T> {
  const pod = new Pod("init-container", join(model, ".."));
  try {
    const server = pod.start("llama-server");
    await ready(8080, "/health", server);
    return await use(server);
  } finally {
    await pod.remove();
  }
}

/** Waits for a probe of the manifest to succeed. */
async function ready(port: number, path: string, container: RunningContainer): Promise<void> {
  const deadline = performance.now() + 150_000;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => null);
    if (answer?.status === 200) return;
    if (container.isOver() || performance.now() > deadline) {
      const { stdout, stderr } = container.output;
      throw new Error(`${path} never answered 200: ${stdout}${stderr}`);
    }
    await sleep(500);
  }
}

/** SIGTERM to its first process; it has its grace to end. */
async function stop(
  pod: Pod,
  container: RunningContainer,
): Promise<Ended & { readonly graceSeconds: number }> {
  const asked = performance.now();
  process.kill(container.first(), "SIGTERM");
  const ended = await container.ended;
  const graceSeconds = (performance.now() - asked) / 1000;
  assert.ok(graceSeconds < pod.graceSeconds, `it took ${graceSeconds} s to end`);
  return { ...ended, graceSeconds };
}

/** The page cache that a cgroup and those within it are charged for. */
function chargedFileBytes(group: { read(file: string): string }): number {
  return Number(/^file (\d+)$/m.exec(group.read("memory.stat"))?.[1]);
}

/** Looks now and then at what a container is charged. @returns the most that was seen */
function watchCharge(container: RunningContainer): () => number {
  let most = 0;
  const timer = setInterval(() => {
    try {
      most = Math.max(most, chargedFileBytes(container));
    } catch {
      // Its group is not there yet, or no longer.
    }
  }, 100);
  container.ended.finally(() => clearInterval(timer));
  return () => most;
}

function inMib<K extends string>(bytes: Readonly<Record<K, number>>): Partial<Record<K, number>> {
  return Object.fromEntries(
    Object.entries<number>(bytes).map(([name, value]) => [name, Math.round(value / MIB)]),
  ) as Partial<Record<K, number>>;
}
