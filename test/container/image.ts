import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packedTarball } from "../package/packed.ts";
import { ROOT, runOrThrow } from "../package/run.ts";
import { CERTIFICATES, layOutBase } from "./base.ts";

/** A base that stands for the one of the registry. What npm has in its cache here, it need not ask for. */
const BASE = `FROM scratch
COPY root /
ENV PATH=/usr/local/bin:/usr/bin:/bin NODE_EXTRA_CA_CERTS=${CERTIFICATES}
ENV npm_config_cafile=${CERTIFICATES} npm_config_cache=/npm npm_config_prefer_offline=true
`;

/** What an image says of how it is run, and its root file system. */
export interface BuiltImage {
  readonly root: string;
  readonly user: { readonly uid: number; readonly gid: number };
  readonly entrypoint: readonly string[];
  readonly env: readonly string[];
}

/** Builds the image of the example, as its first lines say, in a store of its own. */
export async function buildImage(folder: string): Promise<BuiltImage> {
  const store = ["--storage-driver", "vfs", "--root", join(folder, "store")];
  const buildah = (...args: string[]) =>
    runOrThrow("buildah", [...store, "--runroot", join(folder, "run"), ...args]);
  const build = (tag: string, file: string, context: string, ...args: string[]) =>
    buildah("build", "--isolation", "chroot", "-t", tag, "-f", file, ...args, context);

  const base = join(folder, "base");
  layOutBase(join(base, "root"));
  writeFileSync(join(base, "Dockerfile"), BASE);
  await build("localhost/base", join(base, "Dockerfile"), base);

  const context = join(folder, "context");
  mkdirSync(context);
  copyFileSync(await packedTarball(), join(context, "prefault-0.0.0.tgz"));
  const dockerfile = join(ROOT, "examples/container/Dockerfile");
  const cache = (await runOrThrow("npm", ["config", "get", "cache"])).trim();
  const here = ["--build-arg", "BASE=localhost/base", "--volume", `${cache}:/npm`];
  await build("localhost/prefault", dockerfile, context, ...here);

  const container = (await buildah("from", "localhost/prefault")).trim();
  const root = (await buildah("mount", container)).trim();
  const inspected = JSON.parse(await buildah("inspect", "--type", "image", "localhost/prefault"));
  const { User: user, Entrypoint: entrypoint, Env: env } = inspected.OCIv1.config;
  return { root, user: userOf(root, user), entrypoint, env };
}

function userOf(root: string, name: string) {
  const users = readFileSync(join(root, "etc/passwd"), "utf8").split("\n");
  const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
  if (uid === undefined) throw new Error(`the image has no user ${name}`);
  return { uid: Number(uid), gid: Number(gid) };
}
