import type { Statement, Transaction } from "./db/types.ts";
import type { FaultKind } from "./resilience/faults.ts";

/** A fault point's row. */
export interface FaultRow {
  point: string;
  version: number;
  /** Null when nothing is armed. */
  kind: FaultKind | null;
  probability: number;
  /** How often it strikes in all; null without limit. */
  count: number | null;
  latencyMs: number;
  struck: number;
}

export type NewFault = Pick<FaultRow, "point" | "probability" | "count" | "latencyMs"> & {
  kind: FaultKind;
};

const columns = `point, version, kind, probability, count, latency_ms as "latencyMs", struck`;

/** Every point that was ever armed; there are no more than are declared. */
export async function readFaults(tx: Transaction): Promise<FaultRow[]> {
  const { rows } = await tx.query<FaultRow>(
    `select ${columns} from platform.fault order by point limit 1000`,
  );
  return rows;
}

/** One point's row, with a lock that also keeps others from making it. */
export async function lockFault(tx: Transaction, point: string): Promise<FaultRow | null> {
  const [, found] = await tx.batch([
    { text: "select pg_advisory_xact_lock(hashtextextended('fault ' || $1, 0))", values: [point] },
    { text: `select ${columns} from platform.fault where point = $1 for update`, values: [point] },
  ]);
  return (found?.rows[0] as FaultRow | undefined) ?? null;
}

/** Arms a point, whatever was armed there before. */
export async function armFault(tx: Transaction, fault: NewFault): Promise<FaultRow> {
  const { rows } = await tx.query<FaultRow>(
    `insert into platform.fault as f (point, kind, probability, count, latency_ms)
     values ($1, $2, $3, $4, $5)
     on conflict (point) do update set kind = excluded.kind, probability = excluded.probability,
       count = excluded.count, latency_ms = excluded.latency_ms, struck = 0,
       version = f.version + 1, updated_at = now()
     returning ${columns}`,
    [fault.point, fault.kind, fault.probability, fault.count, fault.latencyMs],
  );
  return rows[0] as FaultRow;
}

/** Lets a point work again. */
export async function clearFault(tx: Transaction, point: string): Promise<void> {
  await tx.query(
    `update platform.fault set kind = null, version = version + 1, updated_at = now()
      where point = $1 and kind is not null`,
    [point],
  );
}

/**
 * Counts one strike of an arming: a row comes back where it may strike. The last one that it was to
 * do clears it, before it is done, so that a crash is not met again after the restart.
 */
export function claimStrike(point: string, version: number): Statement {
  return {
    text: `update platform.fault set struck = struck + 1,
        kind = case when struck + 1 = count then null else kind end,
        version = version + case when struck + 1 = count then 1 else 0 end
      where point = $1 and version = $2 and kind is not null returning 1`,
    values: [point, version],
  };
}
