import { Logger as GraphileLogger } from "graphile-worker";
import type { Logger } from "../telemetry/logger.ts";

/**
 * graphile-worker's log as ours. What it says of single jobs is left out: the task wrapper says the
 * same with tenant and request.
 */
export function graphileLogger(log: Logger): GraphileLogger {
  return new GraphileLogger(() => (level, message, meta) => {
    if (meta?.failure || meta?.success) return;
    const fields = { component: "graphile-worker", err: meta?.error };
    if (level === "error") log.error(fields, message);
    else if (level === "warning") log.warn(fields, message);
    else log.debug(fields, message);
  });
}
