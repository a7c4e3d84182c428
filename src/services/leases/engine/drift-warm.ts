import type { TenantRef } from "#kernel/tenancy/types.ts";
import type { Container, Runtime } from "../runtimes/types.ts";
import { ensureDue } from "../store/due.ts";
import { hasPools, listWarm } from "../store/warm.ts";
import type { FoundDrift } from "../types.ts";
import type { Works } from "./works.ts";

/**
 * What is kept ready for a tenant and is not: its container is gone or has ended. Whatever is to be
 * made or to go is looked at by the sweep, whoever may have lost its pointer.
 */
export async function compareWarm(
  works: Works,
  tenant: TenantRef,
  { byLease, heard }: { byLease: ReadonlyMap<string, Container>; heard: ReadonlySet<Runtime> },
): Promise<FoundDrift[]> {
  const { db, clock, fleet } = works;
  if (!(await hasPools(db, tenant))) return [];
  const rows = await listWarm(db, tenant);
  const open = rows.filter(({ state }) => state !== "ready").map(({ id }) => id);
  await db.inTenant(tenant, (tx) =>
    tx.batch([ensureDue(tx, "warm", open, clock), ensureDue(tx, "pools", [tenant.id], clock)]),
  );
  const found: FoundDrift[] = [];
  for (const { id, state, spec } of rows) {
    const runtime = fleet.at(spec);
    const container = byLease.get(`${id} 1`) ?? null;
    if (state !== "ready" || !heard.has(runtime) || container?.state === "running") continue;
    found.push({
      kind: "warm_mismatch",
      tenantId: tenant.id,
      leaseId: id,
      containerId: container?.id ?? null,
      containerName: container?.name ?? null,
      detail: `It is kept ready, and its container is ${container?.state ?? "gone"}.`,
      runtime,
    });
  }
  return found;
}
