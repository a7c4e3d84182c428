import { runMigrations } from "graphile-worker";
import { withClient } from "../db/roles.ts";
import type { Logger } from "../telemetry/logger.ts";
import { graphileLogger } from "./graphile-log.ts";

/** "PLIM" and "jobs" as numbers. */
const installLock = "1347176781, 1785684595";

/**
 * Makes or updates graphile-worker's own schema, `graphile_worker`, as the owner. Servers that
 * start at once take turns.
 */
export async function installJobs(ownerUrl: string, log: Logger): Promise<void> {
  await withClient(ownerUrl, async (client) => {
    await client.query("set lock_timeout = '60s'");
    await client.query(`select pg_advisory_lock(${installLock})`);
    await runMigrations({ connectionString: ownerUrl, logger: graphileLogger(log) });
  });
}
