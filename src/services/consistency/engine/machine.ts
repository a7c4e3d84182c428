import type { Version } from "../rules/history.ts";
import type { Protocol } from "./protocol.ts";
import type { Applied, Cell, Entry, Write } from "./types.ts";

/** What the log leads to: the same on every replica that has applied as much of it. */
export interface Machine {
  readonly cells: Map<string, Cell>;
  /** Writes that took effect, by their ids, and how they ended; the oldest first. */
  readonly done: Map<string, Applied>;
}

/** How many writes are remembered, so that one that comes again is recognized. */
export const rememberedAtMost = 4_096;

/** What no entry has led to yet. */
export const emptyMachine = (): Machine => ({ cells: new Map(), done: new Map() });

/** A machine of its own; what it holds is never changed, only replaced. */
export const copyMachine = ({ cells, done }: Machine): Machine => ({
  cells: new Map(cells),
  done: new Map(done),
});

/**
 * Applies an entry; a write that has been applied before ends as it did then (Raft §8). Null for
 * one that comes so late that this can't be told: it changes nothing, on any replica.
 */
export function applyEntry(
  machine: Machine,
  { write, term, seq }: Entry,
  protocol: Protocol,
): Applied | null {
  const version = { term, seq };
  if (write === null) return { isMatch: true, version, found: null };
  const before = machine.done.get(write.id);
  if (before && protocol.recognizes(true)) return before;
  if (write.since !== undefined && seq - write.since > rememberedAtMost) return null;
  const cell = machine.cells.get(write.key);
  const isMatching = isMatch(cell, write);
  const applied = { isMatch: isMatching, version, found: isMatching ? null : (cell ?? null) };
  if (applied.isMatch) {
    const value = write.op === "delete" ? null : write.value;
    machine.cells.set(write.key, { value, version });
  }
  machine.done.set(write.id, applied);
  if (machine.done.size > rememberedAtMost) {
    machine.done.delete(machine.done.keys().next().value as string);
  }
  return applied;
}

const isSame = (a: Version, b: Version): boolean => a.term === b.term && a.seq === b.seq;

function isMatch(cell: Cell | undefined, { op, expected }: Write): boolean {
  if (op !== "cas") return true;
  if (expected === null) return cell === undefined || cell.value === null;
  return cell !== undefined && isSame(cell.version, expected);
}
