import { createJobAdmin, type JobAdmin } from "../jobs/admin.ts";
import { installJobs } from "../jobs/install.ts";
import { startWorker, type Worker, type WorkerOptions } from "../jobs/worker.ts";
import type { JobCatalogue, TenantLookup } from "../jobs/types.ts";
import { systemClock } from "../clock.ts";
import type { TestContext } from "node:test";
import { type EventHouse, eventHouse } from "./events.ts";

export interface JobHouse extends EventHouse {
  admin: JobAdmin;
  /** A worker of the service "test" with this catalogue, stopped after the test. */
  work(jobs: JobCatalogue<unknown>, options?: Partial<WorkerOptions>): Promise<Worker>;
}

/** Finds every tenant, so that a test need not make one. */
export const anyTenant: TenantLookup = { ref: async (id) => ({ id, isolation: "shared" }) };

/** A database with the queue installed. Workers run on the system's clock, as the library does. */
export async function jobHouse(t: TestContext): Promise<JobHouse> {
  const house = await eventHouse(t);
  const { ownerUrl, log, metrics } = house;
  await installJobs(ownerUrl, log);
  const admin = createJobAdmin({ ownerUrl, attemptsOf: () => 10, log });
  const workers: Worker[] = [];
  t.after(async () => {
    for (const worker of workers) await worker.stop(0);
    await admin.close();
  });
  return {
    ...house,
    admin,
    async work(jobs, options = {}) {
      const worker = await startWorker({
        ownerUrl,
        services: [{ name: "test", jobs, deps: { name: "deps" } }],
        tenants: anyTenant,
        clock: systemClock,
        log,
        metrics,
        lookMs: 10,
        ...options,
      });
      let stopped: Promise<void> | null = null;
      const once: Worker = {
        stop(graceMs) {
          stopped ??= worker.stop(graceMs);
          return stopped;
        },
      };
      workers.push(once);
      return once;
    },
  };
}
