import { audit } from "../audit/audit.ts";
import { type Clock, isoNow } from "../clock.ts";
import type { Db } from "../db/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import * as store from "../tenancy/store.ts";
import { systemActor, thePlatform } from "../tenancy/types.ts";
import { deleteSessionsOfTenant } from "./session-store.ts";
import { forgetLastTenant } from "./user-store.ts";

/** The job that erases; deleting a tenant queues it. */
export const eraseTask = "platform.erase_tenants";

const tenantsAtOnce = 100;

/** What a look at a deleted tenant found and erased. */
export interface Erased {
  rows: number;
  /** Those of a dedicated tenant, dropped. */
  schemas: string[];
}

/** Erases a tenant's rows, jobs and schemas in every service, and may be repeated. */
export type Erase = (tenantId: string, signal: AbortSignal) => Promise<Erased>;

export interface ErasureDeps {
  db: Db;
  clock: Clock;
  log: Logger;
  erase: Erase;
}

/**
 * Looks at every deleted tenant that may have something left, and erases it: rows, schemas, the
 * audit, sessions. Only its id and slug stay, so that nobody takes over a name that people trust,
 * and what the platform's own audit says of it. A request or job under way may write after a look,
 * so a tenant is done with once a look has found nothing. Answers how many were found with
 * something; tries all before it throws what went wrong with some.
 */
export async function eraseTenants(
  deps: ErasureDeps,
  { signal, requestId }: { signal: AbortSignal; requestId: string },
): Promise<number> {
  const errors: unknown[] = [];
  let found = 0;
  let afterId: string | null = null;
  for (;;) {
    const from = { afterId, limit: tenantsAtOnce };
    const ids: string[] = await deps.db.inPlatform((tx) => store.listTenantsToErase(tx, from));
    for (const id of ids) {
      try {
        if (await eraseTenant(deps, { id, signal, requestId })) found += 1;
      } catch (error) {
        signal.throwIfAborted();
        deps.log.error({ err: error, tenant: id }, "a deleted tenant could not be erased");
        errors.push(error);
      }
    }
    if (ids.length < tenantsAtOnce) break;
    afterId = ids.at(-1) ?? null;
  }
  if (errors.length === 0) return found;
  const [first] = errors as [Error];
  throw new AggregateError(errors, `${errors.length} tenants not erased: ${first.message}`);
}

async function eraseTenant(
  deps: ErasureDeps,
  { id, signal, requestId }: { id: string; signal: AbortSignal; requestId: string },
): Promise<boolean> {
  const { db, log } = deps;
  const { rows, schemas } = await deps.erase(id, signal);
  const sessions = await db.inPlatform(async (tx) => {
    await forgetLastTenant(tx, id);
    return deleteSessionsOfTenant(tx, id);
  });
  const isDone = rows + schemas.length + sessions === 0;
  if (isDone) {
    await db.inPlatform((tx) => store.markTenantErased(tx, id, isoNow(deps.clock)));
    return false;
  }
  log.info({ tenant: id, rows, schemas, sessions }, "erased a deleted tenant");
  const on = { actor: systemActor(`job:${eraseTask}`), requestId };
  await db.inTenant(
    thePlatform,
    async (tx) => {
      await store.blankTenant(tx, id);
      audit(tx, {
        action: "tenant.erase",
        resource: { type: "tenant", id },
        before: { rows, schemas: schemas.length, sessions },
      });
    },
    on,
  );
  return true;
}
