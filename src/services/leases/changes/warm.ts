import type { Statement, Tx } from "#kernel/db/types.ts";
import type { LeaseTerms } from "../rules/lease.ts";
import { sharesSum } from "../rules/quota.ts";
import { type StoredWarm, type WarmSpec, warmShare, warmSpecOf } from "../rules/warm.ts";
import { setDue, setDueBy } from "../store/due.ts";
import { lockQuota, returnShare, wholeTenant } from "../store/quota.ts";
import { retireWarm, takeWarm } from "../store/warm.ts";
import type { LeasesDeps } from "../types.ts";

/**
 * Takes a container that runs already for a lease of these terms: one that was made of exactly
 * what the lease asks for. Null where there is none, and for a lease with variables, which only a
 * container's making can give it.
 */
export async function claimWarm(
  tx: Tx,
  { gauges }: Pick<LeasesDeps, "gauges">,
  terms: LeaseTerms,
): Promise<StoredWarm | null> {
  const { templateId, envNames } = terms;
  if (templateId === null) return null;
  const spec = warmSpecOf(terms);
  const warm = envNames.length > 0 ? null : await takeWarm(tx, { templateId, spec });
  // Whether the container is alive, whoever looks at it counts.
  if (warm === null) tx.afterCommit(() => gauges.poolClaims.inc({ result: "miss" }));
  return warm;
}

/** Fills the pool again of which one was taken; after the quota's row is locked, as everywhere. */
export const refill = (tx: Tx, { id }: Pick<StoredWarm, "id">, nowMs: number): Statement[] => [
  setDue(tx, "warm", id, null),
  setDueBy(tx, "pools", tx.tenant.id, nowMs),
];

/** Whatever the clock shows, it is later than this. */
const atOnceMs = 0;

/** The tenant's pools are looked at now: what it has chosen has changed. */
export async function lookAtPools(tx: Tx): Promise<void> {
  await tx.batch([setDueBy(tx, "pools", tx.tenant.id, atOnceMs)]);
}

/** The same for its templates, behind whoever is looking and may have read what was before. */
export async function lookAtPoolsAfter(tx: Tx): Promise<void> {
  await tx.batch([lockQuota(tx), setDueBy(tx, "pools", tx.tenant.id, atOnceMs)]);
}

/**
 * Decides the end of containers that are kept ready, and gives back what they have of the quota;
 * those that somebody has in hand stay. The engine removes them. Answers with which it was.
 */
export async function retire(
  tx: Tx,
  ids: readonly string[],
  nowMs: number,
): Promise<readonly { id: string; spec: WarmSpec }[]> {
  if (ids.length === 0) return [];
  const [retired] = await tx.batch([retireWarm(ids, nowMs)]);
  const gone = retired?.rows as unknown as { id: string; spec: WarmSpec }[];
  await tx.batch([
    ...gone.map(({ id }) => setDue(tx, "warm", id, nowMs)),
    returnShare(tx, wholeTenant, sharesSum(gone.map(({ spec }) => warmShare(spec)))),
  ]);
  return gone;
}
