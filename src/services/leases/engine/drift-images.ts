import { audit } from "#kernel/audit/audit.ts";
import type { TenantRef } from "#kernel/tenancy/types.ts";
import { isWantedImage } from "../rules/drift.ts";
import type { KeptImage, Runtime } from "../runtimes/types.ts";
import { getSnapshots } from "../store/snapshots.ts";
import type { FoundDrift } from "../types.ts";
import { onBehalf, type Works } from "./works.ts";

/**
 * What is kept on an engine for no snapshot: of one that could not be taken, whose tenant is gone,
 * or whose server was killed. A snapshot's row is there before its image, so images are listed
 * before rows are read.
 */
export async function strayImages(
  works: Works,
  { runtime, kept }: { runtime: Runtime; kept: readonly KeptImage[] },
  signal: AbortSignal,
): Promise<FoundDrift[]> {
  const byTenant = Map.groupBy(kept, ({ tenantId }) => tenantId);
  const found: FoundDrift[] = [];
  for (const [tenantId, images] of byTenant) {
    signal.throwIfAborted();
    const tenant = await works.tenants.known(tenantId);
    const stray = await unwanted(works, tenant, images);
    found.push(...stray.map((one) => driftOf(one, runtime)));
  }
  return found;
}

async function unwanted(
  { db }: Works,
  tenant: TenantRef | null,
  images: readonly KeptImage[],
): Promise<KeptImage[]> {
  if (tenant === null) return [...images];
  const ids = [...new Set(images.map(({ snapshotId }) => snapshotId))];
  const known = new Map((await getSnapshots(db, tenant, ids)).map((one) => [one.id, one]));
  return images.filter((one) => !isWantedImage(one, known.get(one.snapshotId) ?? null));
}

const driftOf = ({ image, tenantId, isDraft }: KeptImage, runtime: Runtime): FoundDrift => ({
  kind: "orphan_image",
  tenantId,
  leaseId: null,
  containerId: null,
  containerName: null,
  detail: `${image} is ${isDraft ? "left of a snapshot" : "of no snapshot"}.`,
  runtime,
  image,
});

/** Looks once more, since it may have become a snapshot's meanwhile, and removes it. */
export async function removeStrayImage(works: Works, drift: FoundDrift): Promise<void> {
  const { runtime, image, tenantId, detail } = drift;
  const kept = (await runtime?.keptImages?.())?.find((one) => one.image === image);
  if (!runtime || !kept) return;
  const tenant = await works.tenants.known(tenantId);
  if ((await unwanted(works, tenant, [kept])).length === 0) return;
  await runtime.removeSnapshot(kept.image);
  works.log.warn({ image, tenant: tenantId }, "removed an image of no snapshot");
  if (!tenant) return;
  await works.db.inTenant(
    tenant,
    async (tx) => {
      const resource = { type: "snapshot", id: kept.snapshotId };
      audit(tx, { action: "snapshot.remove_stray", resource, after: { detail } });
    },
    onBehalf,
  );
}
