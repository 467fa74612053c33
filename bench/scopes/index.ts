import type { Scope } from "../bench.ts";
import type { ScopeName } from "../settings.ts";
import { beside } from "./beside.ts";
import { cold } from "./cold.ts";
import { firstToken } from "./first-token.ts";
import { keep } from "./keep.ts";
import { kernel } from "./kernel.ts";
import { larger } from "./larger.ts";
import { peers } from "./peers.ts";
import { plan } from "./plan.ts";
import { pool } from "./pool.ts";
import { readAhead } from "./read-ahead.ts";
import { ready } from "./ready.ts";
import { reference } from "./reference.ts";
import { server, serverGpu, serverLong, serverUniform } from "./server.ts";
import { slices } from "./slices.ts";
import { startup } from "./startup.ts";
import { warm } from "./warm.ts";

export const SCOPES: Readonly<Record<ScopeName, Scope>> = {
  kernel,
  plan,
  startup,
  pool,
  cold,
  warm,
  peers,
  "first-token": firstToken,
  ready,
  beside,
  larger,
  server,
  "server-uniform": serverUniform,
  "server-long": serverLong,
  "server-gpu": serverGpu,
  reference,
  "read-ahead": readAhead,
  slices,
  keep,
};
