import { pruneEvents } from "#kernel/events/prune.ts";
import { purgeIdempotency } from "#kernel/http/store.ts";
import { eraseTask, eraseTenants } from "#kernel/identity/erasure.ts";
import { forgetEndedIdentities } from "#kernel/identity/housekeeping.ts";
import type { JobCatalogue } from "#kernel/jobs/types.ts";
import type { PlatformDeps } from "#kernel/platform-parts.ts";

const minute = 60_000;

/** The platform's housekeeping. */
export const platformJobs: JobCatalogue<PlatformDeps> = {
  tasks: {
    "platform.prune_events": {
      title: "Forget events that are a month old",
      scope: "platform",
      timeoutMs: 60 * minute,
      async run(_payload, { deps, signal, log }) {
        log.info({ events: await pruneEvents({ ...deps, signal }) }, "forgot old events");
      },
    },
    "platform.forget_identities": {
      title: "Forget sessions, invitations and counters that are over",
      scope: "platform",
      timeoutMs: 30 * minute,
      async run(_payload, { deps, log }) {
        log.info(await forgetEndedIdentities(deps), "forgot what is over");
      },
    },
    [eraseTask]: {
      title: "Erase what deleted tenants had",
      scope: "platform",
      timeoutMs: 120 * minute,
      async run(_payload, { deps, signal, log, requestId }) {
        await eraseTenants({ ...deps, log }, { signal, requestId });
      },
    },
    "platform.purge_idempotency": {
      title: "Forget answers that were kept for replay",
      scope: "platform",
      timeoutMs: 30 * minute,
      async run(_payload, { deps: { db, tenants }, signal }) {
        for await (const tenant of tenants.each()) {
          signal.throwIfAborted();
          await db.inTenant(tenant, (tx) => purgeIdempotency(tx));
        }
      },
    },
  },
  cron: [
    { task: "platform.prune_events", every: "17 3 * * *" },
    { task: "platform.forget_identities", every: "23 * * * *" },
    { task: "platform.purge_idempotency", every: "41 * * * *" },
    // A look that finds nothing is what ends them, and one that failed is made up for.
    { task: eraseTask, every: "53 * * * *" },
  ],
};
