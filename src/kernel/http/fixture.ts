import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { PassThrough } from "node:stream";
import type { TestContext } from "node:test";
import { accessErrors } from "../access/errors.ts";
import type { PermissionCatalogue } from "../access/permissions.ts";
import { type ManualClock, manualClock } from "../clock.ts";
import { requestErrors } from "../errors.ts";
import { identityErrors } from "../identity/errors.ts";
import type { Principal } from "../identity/types.ts";
import { seededRandom } from "../random.ts";
import { createHealth } from "../telemetry/health.ts";
import { createLogger } from "../telemetry/logger.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { createHttp, type Http, type HttpOptions } from "./server.ts";
import type { App, Authenticate } from "./types.ts";

export interface TestHttp extends Http {
  clock: ManualClock;
  /** Log lines so far, parsed. */
  lines: Record<string, unknown>[];
  /** Listens on a free port; its base URL. */
  listen(): Promise<string>;
}

export interface TestHttpOptions {
  /** Members of `config.limits` that differ. */
  limits?: Partial<HttpOptions["config"]["limits"]>;
  config?: Partial<HttpOptions["config"]>;
  options?: Partial<HttpOptions>;
  /** Real time for what a socket does; the held clock otherwise. */
  clock?: ManualClock;
}

export const tenantA: TenantRef = {
  id: "0a000000-0000-7000-8000-000000000001",
  isolation: "shared",
};
export const tenantB: TenantRef = {
  id: "0b000000-0000-7000-8000-000000000002",
  isolation: "shared",
};

export const testPermissions: PermissionCatalogue = {
  "thing:read": { title: "See things", user: "all" },
  "thing:create": { title: "Make things", user: "all" },
  "thing:update": { title: "Change things", user: "own", ownable: true },
  "thing:delete": { title: "Delete things" },
};

/**
 * A caller by name: `Bearer ada` is a tenant admin of A, `bob` a user of A, `eve` an admin of B.
 */
export function testCaller(name: string): Principal | null {
  const all = new Map(
    Object.keys(testPermissions).map((permission) => [permission, "all" as const]),
  );
  const user = new Map<string, "all" | "own">([
    ["thing:read", "all"],
    ["thing:update", "own"],
  ]);
  const callers: Record<string, Pick<Principal, "tenant" | "permissions">> = {
    ada: { tenant: tenantA, permissions: all },
    bob: { tenant: tenantA, permissions: user },
    eve: { tenant: tenantB, permissions: all },
  };
  const found = callers[name];
  if (!found) return null;
  const id = `0c000000-0000-7000-8000-0000000000${name.length}${name.charCodeAt(0) % 10}`;
  return {
    ...found,
    actor: { kind: "user", id, userId: id, name },
    role: "user",
    expiresAtMs: Number.POSITIVE_INFINITY,
    platformAdmin: false,
  };
}

/** Believes whatever name stands behind "Bearer". */
export const testAuthenticate: Authenticate = ({ authorization = "" }) =>
  testCaller(authorization.replace("Bearer ", ""));

/**
 * A server with the routes that `routes` registers as service "things", on nothing but this
 * process.
 */
export function testHttp(
  t: TestContext,
  routes: (app: App) => void,
  { limits, config, options, clock = manualClock() }: TestHttpOptions = {},
): TestHttp {
  const stream = new PassThrough();
  const lines: Record<string, unknown>[] = [];
  stream.on("data", (line: Buffer) => lines.push(JSON.parse(line.toString())));
  const log = createLogger({ level: "info", stream });
  const http = createHttp({
    config: {
      env: "test",
      publicUrl: "http://127.0.0.1:7070",
      masterKey: Buffer.alloc(32, 7),
      masterKeyPrevious: [],
      corsOrigins: [],
      trustProxy: false,
      limits: {
        bodyBytes: 1_048_576,
        requestTimeoutMs: 30_000,
        anonymousPerMinute: 100_000,
        anonymousBurst: 100_000,
        tenantPerMinute: 1_000_000,
        shutdownDelayMs: 0,
        shutdownDeadlineMs: 5_000,
        cacheEntries: 1_000,
        cacheBytes: 1_000_000,
        ...limits,
      },
      db: { poolMax: 8 },
      ...config,
    },
    clock,
    random: seededRandom(clock, 42),
    log,
    metrics: createMetrics(),
    health: createHealth({ clock, log, maxAgeMs: 0 }),
    authenticate: testAuthenticate,
    permissions: testPermissions,
    errors: [requestErrors, accessErrors, identityErrors],
    version: "0.0.0-test",
    ...options,
  });
  http.mount({ name: "things", areas: { things: "Things." }, routes }, {});
  t.after(async () => {
    http.app.server.closeAllConnections();
    await http.app.close();
  });
  const listen = async () => {
    await http.app.listen({ host: "127.0.0.1", port: 0 });
    return `http://127.0.0.1:${(http.app.server.address() as AddressInfo).port}`;
  };
  return { ...http, clock, lines, listen };
}

/** Sends bytes as they are and reads until the other side closes or `enough` says so. */
export async function rawExchange(
  url: string,
  bytes: string | Buffer | readonly (string | Buffer)[],
  enough: (received: string) => boolean = () => false,
): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  await once(socket, "connect");
  let received = "";
  const closed = new Promise<void>((resolve) => {
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      if (enough(received)) socket.destroy();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve());
  });
  for (const part of [bytes].flat()) socket.write(part);
  await closed;
  return received;
}
