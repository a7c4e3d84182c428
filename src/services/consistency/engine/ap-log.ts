import type { Version } from "../rules/history.ts";
import { isNewer } from "./protocol.ts";
import type { Cell } from "./types.ts";

/** A write as it was accepted by one replica, its origin: number `count` of that one's writes. */
export interface Accepted {
  readonly id: string;
  readonly origin: number;
  readonly count: number;
  readonly key: string;
  readonly value: unknown;
  readonly version: Version;
  /** How much of each replica's writes it may have seen, which must be applied before it. */
  readonly causes: readonly number[];
}

/** The writes of one origin; the first `base` of them are folded into cells. */
export interface OriginLog {
  base: number;
  entries: Accepted[];
}

/** What a crash leaves: of each replica the writes that are known here. */
export interface ApDurable {
  readonly logs: readonly OriginLog[];
  /** What the folded writes led to. */
  readonly cells: Map<string, Cell>;
  newest: Version;
  /** The versions of the newest that were folded, by their ids. */
  readonly folded: Map<string, Version>;
}

/** How many folded writes are remembered for who asks what became of one. */
const foldedAtMost = 4_096;

/** A disk with nothing on it. */
export const emptyApDurable = (replicas: number): ApDurable => ({
  logs: Array.from({ length: replicas }, () => ({ base: 0, entries: [] })),
  cells: new Map(),
  newest: { term: 0, seq: 0 },
  folded: new Map(),
});

/** How many writes of the origin are known. */
export const countOf = ({ base, entries }: OriginLog): number => base + entries.length;

/** The writes after number `count` that are not folded, up to number `end`. */
export const entriesFrom = ({ base, entries }: OriginLog, count: number, end: number): Accepted[] =>
  entries.slice(Math.max(0, count - base), Math.max(0, end - base));

/** Of two writes of a key the one with the newer version stays, wherever they meet. */
export function putCell(cells: Map<string, Cell>, { key, value, version }: Accepted): void {
  const cell = cells.get(key);
  if (cell === undefined || isNewer(version, cell.version)) cells.set(key, { value, version });
}

/** Forgets the writes of an origin up to number `count`, and keeps what they led to. */
export function foldInto(image: ApDurable, origin: number, count: number): void {
  for (const entry of dropUpTo(image.logs[origin]!, count)) {
    putCell(image.cells, entry);
    if (isNewer(entry.version, image.newest)) image.newest = entry.version;
    image.folded.set(entry.id, entry.version);
    if (image.folded.size > foldedAtMost) {
      image.folded.delete(image.folded.keys().next().value as string);
    }
  }
}

/** Takes the entries up to number `count` out of a log. */
export function dropUpTo(log: OriginLog, count: number): Accepted[] {
  const dropped = log.entries.splice(0, Math.max(0, count - log.base));
  log.base += dropped.length;
  return dropped;
}
