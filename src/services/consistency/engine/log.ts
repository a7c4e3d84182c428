import type { Entry } from "./types.ts";
import { emptyMachine, type Machine } from "./machine.ts";

/** A replica's log: what a snapshot stands for, then entries that follow each other. */
export interface Log {
  /** Everything up to it is in the snapshot; 0 when there is none. */
  baseSeq: number;
  baseTerm: number;
  snapshot: Machine;
  entries: Entry[];
}

/** A log with nothing in it. */
export const emptyLog = (): Log => ({
  baseSeq: 0,
  baseTerm: 0,
  snapshot: emptyMachine(),
  entries: [],
});

/** A log of its own; entries and snapshots are never changed, so that they can be shared. */
export const copyLog = (log: Log): Log => ({ ...log, entries: [...log.entries] });

/** The position of the last entry. */
export const lastSeq = (log: Log): number => log.baseSeq + log.entries.length;

/** The term of an entry; -1 when the log does not have it. */
export function termAt(log: Log, seq: number): number {
  if (seq === log.baseSeq) return log.baseTerm;
  return log.entries[seq - log.baseSeq - 1]?.term ?? -1;
}

/** The entries after `seq`, at most `count`. */
export const entriesAfter = (log: Log, seq: number, count: number): Entry[] =>
  log.entries.slice(seq - log.baseSeq, seq - log.baseSeq + count);

/** Puts entries after `seq`, in place of what followed it. */
export function replaceAfter(log: Log, seq: number, entries: readonly Entry[]): void {
  log.entries.length = Math.max(0, seq - log.baseSeq);
  log.entries.push(...entries);
}

/** Replaces everything up to `seq` by what it led to (log compaction, Raft §7). */
export function compact(log: Log, seq: number, snapshot: Machine): void {
  const term = termAt(log, seq);
  log.entries = log.entries.slice(seq - log.baseSeq);
  log.baseSeq = seq;
  log.baseTerm = term;
  log.snapshot = snapshot;
}

/**
 * Begins from another replica's snapshot. What the log has beyond it stays if the snapshot leads up
 * to it: it may have been acknowledged (Raft §7).
 */
export function restart(log: Log, seq: number, term: number, snapshot: Machine): void {
  const isSame = seq > log.baseSeq && termAt(log, seq) === term;
  log.entries = isSame ? log.entries.slice(seq - log.baseSeq) : [];
  log.baseSeq = seq;
  log.baseTerm = term;
  log.snapshot = snapshot;
}
