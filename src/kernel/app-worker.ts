import type { Config } from "./config.ts";
import type { Database } from "./db/types.ts";
import { startOutbox } from "./events/outbox.ts";
import { startWorker, type WorkerService } from "./jobs/worker.ts";
import type { KernelDeps } from "./service.ts";
import type { Health } from "./telemetry/health.ts";
import type { Tenants } from "./tenancy/tenants.ts";

export interface WorkerRoleOptions
  extends Pick<
    KernelDeps,
    "clock" | "random" | "log" | "metrics" | "outgoing" | "secrets" | "policies"
  > {
  config: Pick<Config, "amqpUrl">;
  ownerUrl: string;
  appUrl: string;
  database: Database;
  services: readonly WorkerService[];
  tenants: Tenants;
  health: Health;
}

export interface WorkerRole {
  /** Hands back what has not ended after `graceMs`; resolves at most 2 s later. */
  stop(graceMs: number): Promise<void>;
}

/** What a process of role `worker` or `all` does beside answering: jobs, cron and the outbox. */
export async function startWorkerRole(options: WorkerRoleOptions): Promise<WorkerRole> {
  const { database, config, tenants } = options;
  const worker = await startWorker({
    ...options,
    // Inactive tenants' jobs run too: what they have, such as containers, still has to end.
    tenants: {
      async ref(id) {
        const found = await tenants.get(id);
        return found && { id: found.id, isolation: found.isolation };
      },
    },
  });
  const db = database.forService("platform");
  const outbox = await startOutbox({ ...options, db, amqpUrl: config.amqpUrl });
  return {
    async stop(graceMs) {
      await Promise.all([worker.stop(graceMs), outbox.stop()]);
    },
  };
}
