import type { Breaker } from "../engine/breaker.ts";
import { type Cluster, type Mode, replicaName } from "../engine/cluster.ts";
import type { MemberStatus } from "../engine/member.ts";
import { microseconds } from "../engine/recorder.ts";
import type { Ask, Write } from "../engine/types.ts";
import type { Routed } from "./embedded-routing.ts";
import type { EngineAnswer, EngineAsk, ReplicaStatus, StoreSpec } from "./types.ts";

/** A request as a cluster takes it. */
export function clusterAsk({ id, op, key, value, expected, level, token }: EngineAsk): Ask {
  const write: Write | null = op === "read" ? null : { id, op, key, value, expected };
  return { id, level, key, token, write };
}

/** Why no replica of the store could do what is asked; null when one might. */
export function problemOf(spec: StoreSpec, cluster: Cluster, ask: EngineAsk): string | null {
  const { op, level, replica, token } = ask;
  const { maxStalenessMs, maxStalenessVersions } = spec;
  const all = cluster.status();
  if (replica !== null && !all.some((_, at) => replicaName(at) === replica)) {
    return `There is no replica ${replica}; the store has ${all.length}, n1 to n${all.length}.`;
  }
  const hasBound = maxStalenessMs !== null || maxStalenessVersions !== null;
  if (op === "read" && level === "bounded" && !hasBound) {
    return "The store names no bound that a bounded read could keep; give it maxStalenessMs.";
  }
  if (token === null || spec.mode === "CP") return null;
  const { vector } = token;
  const knows = (count: number, origin: number) =>
    all.some((one) => one.vector !== null && one.vector[origin]! >= count);
  if (vector?.length === all.length && vector.every(knows)) return null;
  return "The token names writes that this store never had; begin a session without it.";
}

/** What became of a request; the level is the one asked for, or none. */
export function engineAnswer({ level }: EngineAsk, { answer, replica }: Routed): EngineAnswer {
  const { status, stalenessMs } = answer;
  const isDone = status === "ok" || status === "mismatch";
  return {
    status,
    reason: answer.reason,
    value: answer.value,
    version: answer.version,
    replica: replica === null ? null : replicaName(replica),
    acknowledgements: answer.acknowledgements,
    achieved: isDone ? level : null,
    stalenessMs: stalenessMs === null ? null : microseconds(stalenessMs),
    stalenessVersions: answer.stalenessVersions,
    token: answer.token,
  };
}

/** How the replicas stand, as anybody may know it. */
export function statusOf(
  mode: Mode,
  members: readonly MemberStatus[],
  breakers: readonly Breaker[],
): ReplicaStatus[] {
  const known = knownOf(members);
  return members.map((one, at) => {
    const { state, epoch, sinceMs, failures, rejected } = breakers[at]!;
    return {
      name: replicaName(at),
      role: one.isUp ? one.role : "unknown",
      isUp: one.isUp,
      isReachable: one.isUp,
      term: mode === "CP" ? one.term : null,
      version: one.held > 0 ? one.applied : null,
      lagVersions: Math.max(0, known - one.held),
      stalenessMs: one.stalenessMs === null ? null : microseconds(one.stalenessMs),
      breaker: { state, epoch, sinceMs: microseconds(sinceMs), failures, rejected },
    };
  });
}

/** How many changes are applied, or in AP accepted, somewhere. */
function knownOf(members: readonly MemberStatus[]): number {
  const vectors = members.flatMap(({ vector }) => (vector === null ? [] : [vector]));
  if (vectors.length === 0) return Math.max(...members.map(({ held }) => held));
  return members.reduce((sum, _, at) => sum + Math.max(...vectors.map((one) => one[at]!)), 0);
}
