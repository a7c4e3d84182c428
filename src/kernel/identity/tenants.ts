import { auditPlatform } from "../audit/platform.ts";
import { type Clock, isoOf } from "../clock.ts";
import { alsoIn } from "../db/tx.ts";
import type { Transaction, Tx } from "../db/types.ts";
import { addJob } from "../jobs/add-job.ts";
import type { Random } from "../random.ts";
import { tenancyErrors } from "../tenancy/errors.ts";
import { assertSlug, slugOf } from "../tenancy/slugs.ts";
import * as store from "../tenancy/store.ts";
import type { TenantChange, TenantRow } from "../tenancy/store.ts";
import type { Tenants } from "../tenancy/tenants.ts";
import { type Isolation, type TenantRef, thePlatform } from "../tenancy/types.ts";
import { current, type Expected } from "../versions.ts";
import { eraseTask } from "./erasure.ts";
import type { Revocations } from "./revocations.ts";

const slugAttempts = 6;
const suffixBytes = 3;

/** Makes a dedicated tenant's schemas, and may be repeated. */
export type Provision = (tenant: TenantRef) => Promise<void>;

export interface NewTenantInput {
  /** When the caller has entered the tenant already. */
  id?: string;
  name: string;
  /** Absent: made of the name, and unique. */
  slug?: string | undefined;
  isolation: Isolation;
  /** Where the slug stands in the caller's body; "/slug" unless said otherwise. */
  slugPath?: string;
}

/**
 * Makes a tenant. A dedicated one gets its schemas before it is committed, so that it is never seen
 * without them; if the transaction fails afterwards they stay behind empty. Throws
 * ERR_TENANCY_SLUG_TAKEN, ERR_TENANCY_RESERVED_SLUG or ERR_TENANCY_INVALID_SLUG for a slug that was
 * asked for.
 */
export async function createTenant(
  tx: Tx,
  deps: { random: Random; provision?: Provision | undefined },
  input: NewTenantInput,
): Promise<TenantRow> {
  const { name, slug, isolation, id = deps.random.id(), slugPath = "/slug" } = input;
  if (slug !== undefined) assertSlug(slug, slugPath);
  if (isolation === "dedicated" && !deps.provision) throw tenancyErrors.dedicated_unavailable();
  const tenant = await insertUnderFreeSlug(tx, deps.random, { id, name, isolation }, slug);
  if (!tenant) throw slugTaken(slug, slugPath);
  if (isolation === "dedicated") await deps.provision?.({ id, isolation });
  auditPlatform(tx, { action: "tenant.create", resource: { type: "tenant", id }, after: tenant });
  return tenant;
}

async function insertUnderFreeSlug(
  tx: Tx,
  random: Random,
  row: { id: string; name: string; isolation: Isolation },
  wanted: string | undefined,
): Promise<TenantRow | null> {
  for (let attempt = 1; attempt <= slugAttempts; attempt += 1) {
    const suffix = attempt === 1 ? "" : random.bytes(suffixBytes).toString("hex");
    const slug = wanted ?? slugOf(row.name, suffix);
    const tenant = await store.insertTenant(tx, { ...row, slug });
    if (tenant) return tenant;
    if (wanted !== undefined) break;
  }
  return null;
}

function slugTaken(slug: string | undefined, path = "/slug"): Error {
  const detail = `Another tenant has the slug "${slug}", or had it; choose another one.`;
  const errors = [{ path, message: "is taken" }];
  return tenancyErrors.slug_taken(slug === undefined ? {} : { detail, errors });
}

export interface TenantDeps {
  tenants: Pick<Tenants, "forget">;
  revocations: Revocations;
}

/** Changes name, slug or whether the tenant is active. `version` null for any. */
export async function updateTenant(
  tx: Tx,
  deps: TenantDeps,
  { id, version, change }: { id: string; version: Expected; change: TenantChange },
): Promise<TenantRow> {
  if (change.slug !== undefined) assertSlug(change.slug);
  const before = current(await store.lockTenant(tx, id), version);
  const after = await store.updateTenant(tx, id, change);
  if (!after) throw slugTaken(change.slug);
  auditPlatform(tx, { action: "tenant.update", resource: { type: "tenant", id }, before, after });
  tx.afterCommit(() => {
    deps.tenants.forget(id);
    if (!after.active) deps.revocations.announce({ tenantId: id });
  });
  return after;
}

/** Until then, other servers may still know the tenant and answer requests in it. */
const eraseAfterMs = 60_000;

/**
 * Takes a tenant out of use for good: nobody acts in it any more, no list shows it, and a job that
 * commits with it erases what it had (`erasure.ts`). Who may be wanted again is made inactive.
 */
export async function deleteTenant(
  tx: Tx,
  deps: TenantDeps & { clock: Clock },
  { id, version }: { id: string; version: Expected },
): Promise<void> {
  const before = current(await store.lockTenant(tx, id), version);
  await store.markTenantDeleted(tx, id);
  auditPlatform(tx, { action: "tenant.delete", resource: { type: "tenant", id }, before });
  const runAt = isoOf(deps.clock.nowMs() + eraseAfterMs);
  addJob(alsoIn(tx, thePlatform), eraseTask, {}, { runAt, key: "erase" });
  tx.afterCommit(() => {
    deps.tenants.forget(id);
    deps.revocations.announce({ tenantId: id });
  });
}

/** Null for a deleted one; inactive ones are there. */
export function findTenant(tx: Transaction, id: string): Promise<TenantRow | null> {
  return store.findTenant(tx, id);
}

/** All tenants there are, oldest first; for platform admins. */
export function listTenants(
  tx: Transaction,
  page: { limit: number; after: [createdAt: string, id: string] | null },
): Promise<TenantRow[]> {
  return store.listTenants(tx, page);
}
