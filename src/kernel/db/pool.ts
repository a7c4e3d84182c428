import { systemClock } from "../clock.ts";
import type { TenantRef } from "../tenancy/types.ts";
import type { Link } from "./flight.ts";
import { createLinks, type LinkOptions, type Links } from "./links.ts";
import { ConnectionError, isStalePlan } from "./pg-errors.ts";
import { searchPaths, settings } from "./settings.ts";
import { inPlatform, inTenant } from "./tx.ts";
import type { Database, Db, QueryResult } from "./types.ts";

/** Limits default to those of the configuration schema; the clock to the system's. */
export type DatabaseOptions = Pick<LinkOptions, "appUrl" | "log"> &
  Partial<Omit<LinkOptions, "appUrl" | "log">>;

/** The limits that hold where nothing else is said. */
export const defaults = {
  poolMax: 25,
  idleMs: 300_000,
  statementTimeoutMs: 30_000,
  lockTimeoutMs: 10_000,
  idleInTransactionTimeoutMs: 30_000,
  connectTimeoutMs: 5_000,
  slowMs: 500,
  applicationName: "plimsoll",
  clock: systemClock,
};

/**
 * The server's connections as the app role. Nothing is connected before the first statement; every
 * new connection is refused when its role could bypass row-level security.
 */
export function createDatabase(options: DatabaseOptions): Database {
  const links = createLinks({ ...defaults, ...options });
  return {
    forService: (service) => createDb(links, service),
    stats: () => links.stats(),
    ping: (timeoutMs) => ping(links, timeoutMs),
    close: () => links.close(),
  };
}

function createDb(links: Links, service: string): Db {
  const pathOf = searchPaths(service);
  const platformPath = `"${service}"`;
  return {
    async query<Row>(tenant: TenantRef, text: string, values?: readonly unknown[]) {
      const path = pathOf(tenant);
      return (await query(links, path, tenant.id, text, values)) as QueryResult<Row>;
    },
    async inTenant(tenant, work, on) {
      return inTenant(links, pathOf(tenant), tenant, work, on);
    },
    async inPlatform(work) {
      return inPlatform(links, platformPath, work);
    },
  };
}

async function query(
  links: Links,
  path: string,
  tenantId: string,
  text: string,
  values: readonly unknown[] | undefined,
): Promise<QueryResult<Record<string, unknown>>> {
  const link = await links.acquire(tenantId);
  try {
    const statements = [settings(path, tenantId), { path, text, values }];
    const answers = await links.land(link, links.send(link, statements)).catch((error) => {
      // Tables changed under the prepared statement, which is parsed anew. The flight was rolled
      // back as a whole, so running it again is safe whatever it does.
      if (isStalePlan(error)) return links.land(link, links.send(link, statements));
      throw error;
    });
    assertNoTransaction(link);
    return answers[0] as QueryResult<Record<string, unknown>>;
  } finally {
    links.release(link);
  }
}

/** A "begin" as the statement would keep the tenant set on a connection that others get. */
function assertNoTransaction(link: Link): void {
  if (link.client.getTransactionStatus() === "I") return;
  link.broken ??= new Error("A statement began a transaction; use inTenant");
  throw link.broken;
}

async function ping(links: Links, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new ConnectionError(`The database gave no answer within ${timeoutMs} ms`);
    timer = setTimeout(reject, timeoutMs, error);
  });
  try {
    await Promise.race([selectOne(links), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function selectOne(links: Links): Promise<void> {
  const link = await links.acquire("");
  try {
    await links.land(link, links.send(link, [{ path: "", text: "select 1" }]));
  } finally {
    links.release(link);
  }
}
