import { isoOf } from "#kernel/clock.ts";
import type { Lease } from "../rules/lease.ts";
import { epochMs } from "./moment.ts";

type Kind = "plain" | "ms" | "big" | "json";
type Column = readonly [member: keyof Lease, column: string, kind?: Kind];

/** What was agreed on: written once. */
const terms: readonly Column[] = [
  ["id", "id"],
  ["ownerId", "owner_id"],
  ["name", "name"],
  ["templateId", "template_id"],
  ["templateName", "template_name"],
  ["restoredFrom", "restored_from"],
  ["image", "image"],
  ["command", "command"],
  ["preStop", "pre_stop", "json"],
  ["envNames", "env_names"],
  ["runtime", "runtime"],
  ["runtimePlace", "runtime_place"],
  ["cpuMillis", "cpu_millis"],
  ["memoryMb", "memory_mb"],
  ["diskMb", "disk_mb"],
  ["pidsMax", "pids_max"],
  ["runAs", "run_as"],
  ["writable", "writable"],
  ["egress", "egress"],
  ["ociRuntime", "oci_runtime"],
  ["ports", "ports"],
  ["idleTtlSeconds", "idle_ttl_seconds"],
  ["pauseSeconds", "pause_seconds"],
  ["warnSeconds", "warn_seconds"],
  ["snapshotOnEnd", "snapshot_on_end"],
  ["maxRestarts", "max_restarts"],
  ["price", "price", "json"],
  ["rate", "rate", "big"],
  ["flatMicros", "flat_micros", "big"],
  ["currency", "currency"],
  ["createdAtMs", "created_at", "ms"],
  ["hardExpiresAtMs", "hard_expires_at", "ms"],
];

/** How it stands: written with every change. */
const standing: readonly Column[] = [
  ["state", "state"],
  ["desired", "desired"],
  ["generation", "generation"],
  ["version", "version"],
  ["stepToken", "step_token"],
  ["stepUntilMs", "step_until", "ms"],
  ["attempts", "attempts"],
  ["retryAtMs", "retry_at", "ms"],
  ["deadlineMs", "deadline", "ms"],
  ["containerId", "container_id"],
  ["isolation", "isolation", "json"],
  ["ttlSeconds", "ttl_seconds"],
  ["updatedAtMs", "updated_at", "ms"],
  ["startedAtMs", "started_at", "ms"],
  ["runningSinceMs", "running_since", "ms"],
  ["expiresAtMs", "expires_at", "ms"],
  ["lastActivityAtMs", "last_activity_at", "ms"],
  ["pausedAtMs", "paused_at", "ms"],
  ["pausedUntilMs", "paused_until", "ms"],
  ["endsAtMs", "ends_at", "ms"],
  ["warnedForMs", "warned_for", "ms"],
  ["seenAtMs", "seen_at", "ms"],
  ["endedAtMs", "ended_at", "ms"],
  ["reason", "termination_reason"],
  ["exitCode", "exit_code"],
  ["message", "message"],
  ["restarts", "restarts"],
  ["preStopDone", "pre_stop_done"],
  ["snapshotId", "snapshot_id"],
  ["costMicros", "cost_micros", "big"],
];

const all = [...terms, ...standing];
const bigMembers = all.filter(([, , kind]) => kind === "big").map(([member]) => member);

const selected = ([member, column, kind]: Column) =>
  `${kind === "ms" ? epochMs(column) : column} as "${member}"`;

/** What a query of leases selects, for `leaseOf`. */
export const leaseColumns = all.map(selected).join(", ");

const namesOf = (columns: readonly Column[]) => columns.map(([, column]) => column).join(", ");
export const insertedNames = namesOf(all);
export const standingNames = namesOf(standing);

/** Places of as many values, from a first one on. */
const placesFrom = (first: number, count: number) =>
  Array.from({ length: count }, (_, index) => `$${first + index}`).join(", ");
/** Places of a new lease's values. */
export const insertedPlaces = (first: number) => placesFrom(first, all.length);
/** Places of what changes about a lease. */
export const standingPlaces = (first: number) => placesFrom(first, standing.length);

function valueOf(lease: Lease, [member, , kind]: Column): unknown {
  const value = lease[member];
  if (value === null) return null;
  if (kind === "ms") return isoOf(value as number);
  return kind === "json" ? JSON.stringify(value) : value;
}

/** Everything of a lease. */
export const insertedValues = (lease: Lease): unknown[] => all.map((one) => valueOf(lease, one));
/** What changes about a lease. */
export const standingValues = (lease: Lease): unknown[] =>
  standing.map((one) => valueOf(lease, one));

/** A row of `leaseColumns` as rules know it. */
export function leaseOf(row: unknown): Lease {
  const lease = { ...(row as Record<string, unknown>) };
  for (const member of bigMembers) lease[member] = BigInt(lease[member] as string);
  return lease as unknown as Lease;
}
