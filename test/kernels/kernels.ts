import type { Architecture } from "./machine/debian.ts";

/** What a kernel is, and what it can do. The cases inside hold the package against this. */
export interface Kernel {
  readonly title: string;
  readonly arch: Architecture;
  /** Debian's suite and meta-package; the newest of that series is booted. */
  readonly suite: string;
  readonly package: string;
  /** How `uname -r` begins. */
  readonly release: string;
  readonly pageBytes: number;
  /** `MADV_POPULATE_READ`, since 5.14. */
  readonly populate: boolean;
  /** `cachestat(2)`, since 6.5. */
  readonly cachestat: boolean;
  /** File systems that take read-ahead into large folios: XFS since 5.18, ext4 since 6.16. */
  readonly largeFolios: readonly ("ext4" | "xfs")[];
  /**
   * Whether the package's whole suite runs there too, which takes a fifth of the time: on the oldest,
   * the one in most use, and the one with large pages.
   */
  readonly wholeSuite?: true;
}

export const KERNELS: readonly Kernel[] = [
  {
    title: "5.10 amd64",
    arch: "amd64",
    suite: "bullseye-security",
    package: "linux-image-cloud-amd64",
    release: "5.10.",
    wholeSuite: true,
    pageBytes: 4096,
    populate: false,
    cachestat: false,
    largeFolios: [],
  },
  {
    title: "6.1 amd64",
    arch: "amd64",
    suite: "bookworm-security",
    package: "linux-image-amd64",
    release: "6.1.",
    pageBytes: 4096,
    populate: true,
    cachestat: false,
    largeFolios: ["xfs"],
  },
  {
    title: "6.12 amd64",
    arch: "amd64",
    suite: "bookworm-security",
    package: "linux-image-6.12-cloud-amd64",
    wholeSuite: true,
    release: "6.12.",
    pageBytes: 4096,
    populate: true,
    cachestat: true,
    largeFolios: ["xfs"],
  },
  {
    title: "7 amd64",
    arch: "amd64",
    suite: "trixie-backports",
    package: "linux-image-cloud-amd64",
    release: "7.",
    pageBytes: 4096,
    populate: true,
    cachestat: true,
    largeFolios: ["ext4", "xfs"],
  },
  {
    title: "6.12 arm64",
    arch: "arm64",
    suite: "bookworm-security",
    package: "linux-image-6.12-arm64",
    release: "6.12.",
    pageBytes: 4096,
    populate: true,
    cachestat: true,
    largeFolios: ["xfs"],
  },
  {
    title: "6.12 arm64 with pages of 16 KiB",
    arch: "arm64",
    suite: "bookworm-security",
    package: "linux-image-6.12-arm64-16k",
    release: "6.12.",
    pageBytes: 16_384,
    wholeSuite: true,
    populate: true,
    cachestat: true,
    largeFolios: ["xfs"],
  },
];
