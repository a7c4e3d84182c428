import { createServer, type IncomingHttpHeaders } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type ManualClock, manualClock } from "../clock.ts";
import { createDatabase } from "../db/pool.ts";
import type { Db } from "../db/types.ts";
import { relayConnection, relayOnce } from "../events/relay.ts";
import { type Random, systemRandom } from "../random.ts";
import { createLogger, type Logger } from "../telemetry/logger.ts";
import { createMetrics, type Metrics } from "../telemetry/metrics.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { type TestDatabase, testDatabase } from "./database.ts";

export interface EventHouse extends TestDatabase {
  db: Db;
  clock: ManualClock;
  random: Random;
  metrics: Metrics;
  log: Logger;
  /** What was logged at level "warn" and above. */
  logs: Record<string, unknown>[];
  tenant(): Promise<TenantRef>;
  /** Hands out everything that waits, as the relay does. */
  relay(toBroker?: boolean): Promise<number>;
}

/** A database with the kernel's tables and what events need around it; nothing runs by itself. */
export async function eventHouse(t: TestContext): Promise<EventHouse> {
  const cleanups: (() => Promise<void>)[] = [];
  const database = await testDatabase({ after: (clean) => void cleanups.push(clean) });
  const clock = manualClock();
  const random = systemRandom(clock);
  const logs: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void logs.push(JSON.parse(line)) };
  const log = createLogger({ level: "warn", stream });
  const pool = createDatabase({ appUrl: database.appUrl, log });
  const { client } = await relayConnection(database.appUrl);
  t.after(async () => {
    await client.end();
    await pool.close();
    for (const clean of cleanups) await clean();
  });
  const db = pool.forService("platform");
  // There is one relay at a time.
  let turns: Promise<unknown> = Promise.resolve();
  return {
    ...database,
    db,
    clock,
    random,
    metrics: createMetrics({ processMetrics: false }),
    log,
    logs,
    async tenant() {
      const id = random.id();
      const text = `insert into platform.tenant (id, slug, name, isolation)
        values ($1, $2, 'A tenant', 'shared')`;
      await db.inPlatform((tx) => tx.query(text, [id, `t${id}`]));
      return { id, isolation: "shared" };
    },
    relay(toBroker = false) {
      const turn = turns.then(async () => {
        let events = 0;
        for (;;) {
          const handed = await relayOnce(client, { clock, log, toBroker });
          events += handed.events;
          if (!handed.more) return events;
        }
      });
      // Its caller hears of a failure; the next one's turn comes all the same.
      turns = turn.catch(() => {});
      return turn;
    },
  };
}

/** An event as a service emitted it. */
export interface Emitted {
  readonly type: string;
  readonly resource: { readonly type: string; readonly id: string };
  // biome-ignore lint/suspicious/noExplicitAny: tests assert what it is
  readonly data: any;
  readonly ownerId: string | null;
}

/** What a tenant's services have emitted, in order, be it handed out by now or not. */
export async function emittedEvents(db: Db, tenant: TenantRef): Promise<Emitted[]> {
  const { rows } = await db.query<Emitted>(
    tenant,
    `select e.type, jsonb_build_object('type', e.resource_type, 'id', e.resource_id) as resource,
            e.data, e.owner_id as "ownerId"
       from platform.event e
       left join platform.outbox o on o.event_id = e.id
      order by e.position nulls last, o.seq`,
  );
  return rows;
}

/**
 * Waits until something holds that other connections or processes bring about, looking every few
 * milliseconds and moving a held clock along; fails after 20 s.
 */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string,
  clock?: ManualClock,
): Promise<void> {
  for (let tries = 0; tries < 4_000; tries += 1) {
    if (await holds()) return;
    clock?.advance(20);
    await delay(5);
  }
  throw new Error(`It never happened: ${what}`);
}

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Receiver {
  /** Where to send to, and the same as the allow-list of private hosts wants it. */
  url: string;
  host: string;
  received: Received[];
  /** How the next requests are answered: a status, or what to do with the request. */
  answer(status: number, headers?: Record<string, string>, body?: string): void;
}

/** A webhook receiver on loopback. */
export async function startReceiver(t: TestContext): Promise<Receiver> {
  const received: Received[] = [];
  let reply = { status: 200, headers: {} as Record<string, string>, body: "ok" };
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      body += chunk;
    });
    request.on("end", () => {
      received.push({ path: request.url ?? "", headers: request.headers, body });
      response.writeHead(reply.status, reply.headers).end(reply.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    host: `127.0.0.1:${port}`,
    received,
    answer: (status, headers = {}, body = "") => {
      reply = { status, headers, body };
    },
  };
}

export interface Proxy {
  port: number;
  /** Breaks every connection and refuses new ones. */
  cut(): void;
  restore(): void;
}

/** A TCP proxy that can fail, for outages of a component that other tests use too. */
export async function startProxy(t: TestContext, host: string, port: number): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let open = true;
  const server = createTcpServer((inside) => {
    if (!open) return void inside.destroy();
    const outside = connect(port, host);
    for (const [socket, other] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  const cut = () => {
    open = false;
    for (const socket of sockets) socket.destroy();
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    cut();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    restore: () => {
      open = true;
    },
  };
}
