import type { Clock } from "../clock.ts";
import type { Db, OnBehalf, Tx } from "../db/types.ts";
import { emit } from "../events/emit.ts";
import type { TenantRef } from "../tenancy/types.ts";

export interface Progress {
  done: number;
  /** Null while nobody knows. */
  total: number | null;
  message: string;
  updatedAt: string;
}

export interface ProgressReport {
  /** Says how far the work is; cheap to call often: most calls write nothing. */
  report(done: number, total: number | null, message?: string): Promise<void>;
  /** The same, written in any case. */
  finish(done: number, total: number | null, message?: string): Promise<void>;
}

const writeEveryMs = 1_000;
const emitEveryMs = 3_000;
const maxMessageChars = 500;

function saveProgress(
  tx: Tx,
  resource: { type: string; id: string },
  p: Omit<Progress, "updatedAt">,
) {
  return tx.query(
    `insert into platform.job_progress
       (tenant_id, resource_type, resource_id, done, total, message) values ($1, $2, $3, $4, $5, $6)
     on conflict (tenant_id, resource_type, resource_id)
       do update set done = $4, total = $5, message = $6, updated_at = now()`,
    [tx.tenant.id, resource.type, resource.id, p.done, p.total, p.message],
  );
}

/**
 * Reports how far long work on a resource is: as a field, written at most every second, and as
 * `job.progress` events, at most every 3 s, in transactions of their own.
 */
export function createProgress(options: {
  db: Db;
  tenant: TenantRef;
  resource: { type: string; id: string };
  /** Who may see the events besides those who see everything. */
  ownerId?: string;
  clock: Clock;
  on?: OnBehalf;
}): ProgressReport {
  const { db, tenant, resource, ownerId, clock, on } = options;
  let writtenMs = Number.NEGATIVE_INFINITY;
  let emittedMs = Number.NEGATIVE_INFINITY;

  async function write(
    done: number,
    total: number | null,
    message: string,
    final: boolean,
  ): Promise<void> {
    const nowMs = clock.monotonicMs();
    if (!final && nowMs - writtenMs < writeEveryMs) return;
    writtenMs = nowMs;
    const progress = { done, total, message: message.slice(0, maxMessageChars) };
    const tells = final || nowMs - emittedMs >= emitEveryMs;
    if (tells) emittedMs = nowMs;
    const change = async (tx: Tx) => {
      await saveProgress(tx, resource, progress);
      if (tells) emit(tx, { type: "job.progress", resource, data: progress, ownerId });
    };
    await db.inTenant(tenant, change, on);
  }

  return {
    report: (done, total, message = "") => write(done, total, message, false),
    finish: (done, total, message = "") => write(done, total, message, true),
  };
}

/** How far the work on a resource is; null when there never was any. */
export async function readProgress(
  tx: Tx,
  resource: { type: string; id: string },
): Promise<Progress | null> {
  const { rows } = await tx.query<Progress>(
    `select done, total, message, updated_at as "updatedAt" from platform.job_progress
      where tenant_id = $1 and resource_type = $2 and resource_id = $3`,
    [tx.tenant.id, resource.type, resource.id],
  );
  return rows[0] ?? null;
}
