import { isIP } from "node:net";
import { InvalidArgumentError } from "commander";

/** Where the metrics are served. */
export interface ListenAddress {
  readonly host: string;
  /** 0: one that the system chooses. */
  readonly port: number;
}

const LOOPBACK = "127.0.0.1";
const MOST_PORT = 65_535;

/** `127.0.0.1:9100`, `[::1]:9100`, `localhost:9100`; a bare port is one of this machine alone. */
export function listenAddress(text: string): ListenAddress {
  const [, bracketed, plain, digits = ""] =
    /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? LOOPBACK;
  const isHost = bracketed === undefined ? isIP(host) === 4 : isIP(host) === 6;
  const port = Number(digits);
  if (digits !== "" && port <= MOST_PORT && (isHost || host === "localhost")) return { host, port };
  throw new InvalidArgumentError(
    "it must be a port, or an address and a port such as 127.0.0.1:9100, 0.0.0.0:9100 or [::1]:9100",
  );
}

/** As it stands in a URL. */
export function hostAndPort({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
