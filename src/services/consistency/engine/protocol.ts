import type { Version } from "../rules/history.ts";

/** The position of the last entry of a log. */
type Last = Version;

/**
 * The decisions on which the guarantees stand, each a pure function of its own, so that a test can
 * put a wrong one in its place and see the checker find it.
 */
export interface Protocol {
  /** Term fencing: what comes from an earlier term is refused (Raft §5.1). */
  isFenced(term: number, ownTerm: number): boolean;
  /** How many of the replicas must agree. */
  quorum(replicas: number): number;
  /** One vote a term, for a log that is not behind the voter's (Raft §5.2, §5.4.1). */
  mayVote(votedFor: number | null, candidate: number, last: Last, ownLast: Last): boolean;
  /** What of a vote survives a crash (Raft, figure 2: votedFor is persistent). */
  keptVote(votedFor: number | null): number | null;
  /** Whether a leader counts as confirmed for reads (ReadIndex, Raft dissertation §6.4). */
  isConfirmed(confirmations: number, replicas: number): boolean;
  /** Only an entry of the leader's own term is committed by counting (Raft §5.4.2). */
  mayCommit(entryTerm: number, ownTerm: number): boolean;
  /** Whether a replica waits for its disk before it acknowledges. */
  syncsFirst(): boolean;
  /** Whether a write that has been applied is recognized when it comes again. */
  recognizes(isKnown: boolean): boolean;
  /** A session's token is a minimum (Terry et al., "Session guarantees", PDIS 1994). */
  meetsToken(applied: Version, token: Version): boolean;
  /** The same for what a replica has of each replica's writes. */
  meetsVector(vector: readonly number[], least: readonly number[]): boolean;
  /** Whether something as old as this may still be read. */
  isFresh(stalenessMs: number, maxStalenessMs: number): boolean;
  isNear(stalenessVersions: number, maxStalenessVersions: number): boolean;
  /** How a write ends that was sent and of which nothing was heard again. */
  endOfUnheard(): "unknown" | "refused" | "ok";
  /**
   * Whether a write that another replica made waits for those that it has seen (causal
   * delivery).
   */
  waitsForCauses(): boolean;
}

/** Whether the first is the newer version. */
export const isNewer = (a: Version, b: Version): boolean =>
  a.term > b.term || (a.term === b.term && a.seq > b.seq);

/** The decisions as they must be. */
export const soundProtocol: Protocol = {
  isFenced: (term, ownTerm) => term < ownTerm,
  quorum: (replicas) => (replicas >> 1) + 1,
  mayVote: (votedFor, candidate, last, ownLast) =>
    (votedFor === null || votedFor === candidate) && !isNewer(ownLast, last),
  keptVote: (votedFor) => votedFor,
  isConfirmed: (confirmations, replicas) => confirmations >= (replicas >> 1) + 1,
  mayCommit: (entryTerm, ownTerm) => entryTerm === ownTerm,
  syncsFirst: () => true,
  recognizes: (isKnown) => isKnown,
  meetsToken: (applied, token) => !isNewer(token, applied),
  meetsVector: (vector, least) => least.every((count, at) => vector[at]! >= count),
  isFresh: (stalenessMs, maxStalenessMs) => stalenessMs <= maxStalenessMs,
  isNear: (stalenessVersions, maxStalenessVersions) => stalenessVersions <= maxStalenessVersions,
  endOfUnheard: () => "unknown",
  waitsForCauses: () => true,
};
