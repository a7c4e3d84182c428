import { isoOf } from "#kernel/clock.ts";
import type { JobCatalogue } from "#kernel/jobs/types.ts";
import { createTenants } from "#kernel/tenancy/tenants.ts";
import { chaosTask } from "./jobs/chaos.ts";
import { demoTask } from "./jobs/demo.ts";
import { forgetLeases } from "./store/leases.ts";
import type { LeasesDeps } from "./types.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** What is done for leases now and then; what is due at a moment is the engine's sweep's. */
export const leasesJobs: JobCatalogue<LeasesDeps> = {
  tasks: {
    "leases.reconcile": {
      title: "Compare leases with containers, and repair what differs",
      scope: "platform",
      timeoutMs: 10 * minuteMs,
      maxAttempts: 1,
      async run(_payload, { deps: { engine }, signal }) {
        await engine.reconcile(signal);
      },
    },
    "leases.forget": {
      title: "Forget leases that ended long ago; what they cost is kept",
      scope: "platform",
      timeoutMs: 30 * minuteMs,
      async run(_payload, { deps: { db, clock, leases }, signal }) {
        const before = isoOf(clock.nowMs() - leases.retentionHours * hourMs);
        for await (const tenant of createTenants({ db, clock }).each()) {
          signal.throwIfAborted();
          await db.inTenant(tenant, (tx) => forgetLeases(tx, before));
        }
      },
    },
    "leases.chaos": chaosTask,
    "leases.demo": demoTask,
  },
  cron: [
    { task: "leases.chaos", every: "* * * * *" },
    { task: "leases.reconcile", every: "* * * * *" },
    { task: "leases.forget", every: "47 * * * *" },
  ],
};
