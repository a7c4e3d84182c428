import pg from "pg";
import { claimStrike } from "./fault-store.ts";
import type { ArmedFault } from "./resilience/faults.ts";
import type { Logger } from "./telemetry/logger.ts";

export interface StrikeCounter {
  /** Counts a strike in the database; false when the fault is spent, cleared or armed anew. */
  claim(fault: ArmedFault): Promise<boolean>;
  close(): Promise<void>;
}

/**
 * Counts strikes for all processes over connections of its own: whoever strikes may hold one of the
 * pool's already, and would wait there for others who do the same. Nothing is connected before the
 * first strike.
 */
export function createStrikeCounter(appUrl: string, log: Logger): StrikeCounter {
  let pool: pg.Pool | null = null;
  const connect = (): pg.Pool => {
    const made = new pg.Pool({
      connectionString: appUrl,
      application_name: "plimsoll faults",
      max: 2,
      idleTimeoutMillis: 10_000,
      connectionTimeoutMillis: 2_000,
      query_timeout: 2_000,
    });
    made.on("error", (error) => log.warn({ err: error }, "a connection that counts was lost"));
    return made;
  };
  return {
    async claim({ point, version }) {
      pool ??= connect();
      const { text, values } = claimStrike(point, version);
      const { rowCount } = await pool.query(text, [...(values ?? [])]);
      return rowCount === 1;
    },
    close: async () => pool?.end(),
  };
}
