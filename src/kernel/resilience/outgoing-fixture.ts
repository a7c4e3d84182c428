import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { systemClock } from "../clock.ts";
import type { Clock } from "../clock.ts";
import { Problem } from "../errors.ts";
import { seededRandom } from "../random.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import type { Resolve } from "./connect.ts";
import type { Faults } from "./faults.ts";
import { createOutgoing } from "./outgoing.ts";
import { createPolicies } from "./policies.ts";

/** Whether an error is `ERR_OUTGOING_` and this. */
export const hasCode = (code: string) => (error: unknown) =>
  error instanceof Problem && error.code === `ERR_OUTGOING_${code}`;

interface Setup {
  allow?: string[];
  resolve?: Resolve;
  clock?: Clock;
  own?: () => Set<string>;
  faults?: Faults;
}

/** Outgoing requests of a server of its own, closed after the test. */
export function startOutgoing(t: TestContext, setup: Setup = {}) {
  const { allow = [], resolve, clock = systemClock, own, faults } = setup;
  const metrics = createMetrics({ processMetrics: false });
  const log = createLogger({ level: "silent" });
  const random = seededRandom(clock, 1);
  const policies = createPolicies({ clock, random, log, metrics });
  const outgoing = createOutgoing({
    allowPrivateHosts: allow,
    clock,
    log,
    metrics,
    policies,
    ...(faults && { faults }),
    resolve,
    ownAddresses: own ?? (() => new Set()),
  });
  t.after(() => outgoing.close());
  return { outgoing, metrics, policies };
}

/** A real server on loopback that remembers who came. */
export async function serve(t: TestContext, listener: RequestListener, host = "127.0.0.1") {
  let connections = 0;
  const requests: {
    method: string;
    url: string;
    headers: IncomingMessage["headers"];
    body: string;
  }[] = [];
  const server = createServer((request, reply) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      requests.push({ method, url, headers, body });
      listener(request, reply);
    });
  });
  server.on("connection", () => {
    connections += 1;
  });
  server.listen(0, host);
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, requests, connections: () => connections };
}

/** Answers "hello" to everything. */
export const hello: RequestListener = (_, reply) => void reply.end("hello");
