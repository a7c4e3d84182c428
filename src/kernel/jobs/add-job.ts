import type { Tx } from "../db/types.ts";
import type { AddJobOptions, JobPayload } from "./types.ts";

/**
 * Queues a job for the transaction's tenant; it exists once the transaction has committed. The
 * database puts the tenant's id into the payload itself, as `tenantId`.
 */
export function addJob(
  tx: Tx,
  task: string,
  payload: JobPayload = {},
  { runAt, key, queue, maxAttempts }: AddJobOptions = {},
): void {
  tx.defer({
    text: "select platform.add_job($1, $2::jsonb, $3::timestamptz, $4, $5, $6::integer)",
    values: [
      task,
      JSON.stringify({ ...payload, requestId: tx.requestId }),
      runAt ?? null,
      key ?? null,
      queue ?? null,
      maxAttempts ?? null,
    ],
  });
}
