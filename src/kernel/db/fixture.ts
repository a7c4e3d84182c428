import net from "node:net";
import type { TestContext } from "node:test";
import pg from "pg";
import type { TenantRef } from "../tenancy/types.ts";
import { emptyDatabase } from "../testing/database.ts";
import { dedicatedSchema } from "./migration-files.ts";
import { createDatabase, type DatabaseOptions } from "./pool.ts";
import type { Database, Db } from "./types.ts";

export const alpha: TenantRef = { id: "00000000-0000-7000-8000-00000000000a", isolation: "shared" };
export const beta: TenantRef = { id: "00000000-0000-7000-8000-00000000000b", isolation: "shared" };
export const gamma: TenantRef = {
  id: "00000000-0000-7000-8000-00000000000c",
  isolation: "dedicated",
};

export interface Logged {
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface Fixture {
  readonly database: Database;
  /** Of the service "demo", whose table `item` is in its shared and in gamma's own schema. */
  readonly db: Db;
  /** As the administrator, whom row-level security does not bind. */
  readonly admin: pg.Client;
  readonly appUrl: string;
  readonly logged: readonly Logged[];
}

const itemTable = (schema: string) => `
  create schema ${schema};
  grant usage on schema ${schema} to plimsoll_app;
  create table ${schema}.item (
    tenant_id uuid not null, id integer not null, name text not null check (name <> 'forbidden'),
    parent_id integer,
    primary key (tenant_id, id),
    constraint item_parent foreign key (tenant_id, parent_id) references ${schema}.item
      deferrable initially deferred);
  alter table ${schema}.item enable row level security;
  alter table ${schema}.item force row level security;
  create policy tenant_isolation on ${schema}.item
    using (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid))
    with check (tenant_id = (select nullif(current_setting('app.tenant_id', true), '')::uuid));
  grant select, insert, update, delete on ${schema}.item to plimsoll_app;`;

/** A fresh database with one service's tables, and a `Database` over it; both go with the test. */
export async function startFixture(
  t: TestContext,
  options: Partial<DatabaseOptions> & { through?: (appUrl: string) => string } = {},
): Promise<Fixture> {
  const { through = (url) => url, ...limits } = options;
  // Hooks run in the order in which they were made, and a database can't be dropped while in use.
  const closing: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const close of closing) await close();
  });
  const { adminUrl, appUrl } = await emptyDatabase(t);
  const admin = new pg.Client(adminUrl);
  await admin.connect();
  closing.push(() => admin.end());
  await admin.query(`create schema platform; grant usage on schema platform to plimsoll_app;
    create table platform.tenant (id uuid primary key, name text not null);
    grant select, insert, update, delete on platform.tenant to plimsoll_app;`);
  await admin.query(itemTable("demo"));
  await admin.query(itemTable(dedicatedSchema("demo", gamma.id)));
  const logged: Logged[] = [];
  const note = (fields: object, message: string) => {
    logged.push({ fields: fields as Record<string, unknown>, message });
  };
  const log = { warn: note, error: note };
  const database = createDatabase({ appUrl: through(appUrl), log, ...limits });
  closing.unshift(() => database.close());
  return { database, db: database.forService("demo"), admin, appUrl, logged };
}

/**
 * What a proxy does with the next bytes: pass them, keep them, or cut the connection at them.
 * "greet" passes a new connection's bytes until the server is first ready, and keeps the rest.
 */
type Manner = "pass" | "hold" | "cut" | "greet";

const readyForQuery = Buffer.from("5a0000000549", "hex");

export interface Proxy {
  /** Client to server. */
  asking: Manner;
  /** Server to client. */
  answering: Manner;
  /** The same connection string by way of the proxy. */
  readonly url: (of: string) => string;
  close(): void;
}

/** A TCP proxy that can lose what travels through it, since no real network does so on demand. */
export async function startProxy(t: TestContext): Promise<Proxy> {
  let target = new URL("postgres://127.0.0.1:5432");
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const upstream = net.connect(Number(target.port), target.hostname);
    const pipe = (from: net.Socket, to: net.Socket, manner: () => Manner) => {
      sockets.add(from);
      let greeted = false;
      from.on("data", (bytes) => {
        if (manner() === "pass" || (manner() === "greet" && !greeted)) to.write(bytes);
        if (manner() === "cut") client.destroy();
        greeted ||= bytes.includes(readyForQuery);
      });
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    };
    pipe(client, upstream, () => proxy.asking);
    pipe(upstream, client, () => proxy.answering);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy: Proxy = {
    asking: "pass",
    answering: "pass",
    url(of) {
      target = new URL(of);
      const changed = new URL(of);
      changed.port = String((server.address() as net.AddressInfo).port);
      return changed.href;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  t.after(() => proxy.close());
  return proxy;
}
