import { systemClock } from "../clock.ts";
import type { TenantRef } from "../tenancy/types.ts";
import { createLinks, type LinkOptions, type Links } from "./links.ts";
import { ConnectionError } from "./pg-errors.ts";
import { createQueries, type Queries } from "./query.ts";
import { searchPaths } from "./settings.ts";
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
  const { clock, connectTimeoutMs } = { ...defaults, ...options };
  const queries = createQueries(links, { clock, waitMs: connectTimeoutMs });
  return {
    forService: (service) => createDb(links, queries, service),
    stats() {
      const stats = links.stats();
      return { ...stats, waiting: stats.waiting + queries.waiting };
    },
    ping: (timeoutMs) => ping(links, timeoutMs),
    close: () => links.close(),
  };
}

function createDb(links: Links, queries: Queries, service: string): Db {
  const pathOf = searchPaths(service);
  const platformPath = `"${service}"`;
  return {
    async query<Row>(tenant: TenantRef, text: string, values?: readonly unknown[]) {
      const answer = await queries.run({ tenantId: tenant.id, path: pathOf(tenant), text, values });
      return answer as QueryResult<Row>;
    },
    async inTenant(tenant, work, on) {
      return inTenant(links, pathOf(tenant), tenant, work, on);
    },
    async inPlatform(work) {
      return inPlatform(links, platformPath, work);
    },
  };
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
