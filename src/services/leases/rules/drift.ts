import type { Container, KeptImage } from "../runtimes/types.ts";
import type { Lease } from "./lease.ts";
import { isOver } from "./lifecycle.ts";
import type { StoredSnapshot } from "./snapshots.ts";

/** How what is stored and what is there may differ. */
export const driftKinds = [
  "missing_container",
  "orphan_container",
  "state_mismatch",
  "warm_mismatch",
  "orphan_image",
  "quota_mismatch",
] as const;
export type DriftKind = (typeof driftKinds)[number];

/** A container whose lease nobody knows is left alone for so long: it may be somebody's new one. */
export const orphanGraceSeconds = 60;

/** What a lease has to have for being compared. */
export type KnownLease = Pick<Lease, "id" | "state" | "generation" | "stepUntilMs">;

/** A lease's container that is not as the lease says, or a container without a lease. */
export interface Drift {
  readonly kind: Exclude<DriftKind, "orphan_image" | "quota_mismatch" | "warm_mismatch">;
  readonly leaseId: string;
  readonly containerId: string | null;
  readonly containerName: string | null;
  readonly detail: string;
}

/** Whether something that was kept is of a snapshot, whose row is `snapshot`, or may become one. */
export function isWantedImage(
  kept: Pick<KeptImage, "image" | "isDraft">,
  snapshot: Pick<StoredSnapshot, "state" | "image"> | null,
): boolean {
  if (snapshot?.state === "pending") return true;
  return snapshot?.image === kept.image && snapshot.state !== "failed" && !kept.isDraft;
}

const heldBy = ({ stepUntilMs }: KnownLease, nowMs: number): boolean =>
  stepUntilMs !== null && stepUntilMs > nowMs;

/** Whether a container belongs to the lease as it is now; of an earlier generation it does not. */
export const isCurrent = (container: Container, lease: KnownLease): boolean =>
  container.identity.leaseId === lease.id && container.identity.generation === lease.generation;

/**
 * What of a container without a lease is to be said at `nowMs`; null while it is too young to be
 * judged. `lease` is what is known under its lease's id.
 */
export function orphanOf(
  container: Container,
  lease: KnownLease | null,
  nowMs: number,
): Drift | null {
  const { id, name, identity, createdAt } = container;
  const belongs = lease !== null && !isOver(lease) && isCurrent(container, lease);
  if (belongs) return null;
  const isNewer = lease !== null && !isOver(lease) && identity.generation > lease.generation;
  const createdAtMs = Date.parse(createdAt);
  const ageMs = Number.isNaN(createdAtMs) ? Number.POSITIVE_INFINITY : nowMs - createdAtMs;
  // Whoever works on a lease removes its older containers.
  const isAtWork = lease !== null && !isOver(lease) && heldBy(lease, nowMs);
  if (isNewer || isAtWork || ageMs < orphanGraceSeconds * 1_000) return null;
  const detail =
    lease === null
      ? "There is no such lease."
      : isOver(lease)
        ? `Its lease has ${lease.state === "failed" ? "failed" : "ended"}.`
        : `Its lease is at generation ${lease.generation} by now.`;
  return {
    kind: "orphan_container",
    leaseId: identity.leaseId,
    containerId: id,
    containerName: name,
    detail,
  };
}

/** What of a lease that runs or is paused is to be said; null: its container is as it says. */
export function mismatchOf(
  lease: KnownLease,
  container: Container | null,
  nowMs: number,
): Drift | null {
  if (lease.state !== "running" && lease.state !== "paused") return null;
  if (heldBy(lease, nowMs)) return null;
  if (container === null) {
    return {
      kind: "missing_container",
      leaseId: lease.id,
      containerId: null,
      containerName: null,
      detail: `The lease is ${lease.state} and has no container.`,
    };
  }
  if (container.state === lease.state) return null;
  return {
    kind: "state_mismatch",
    leaseId: lease.id,
    containerId: container.id,
    containerName: container.name,
    detail: `The lease is ${lease.state}, its container ${container.state}.`,
  };
}
