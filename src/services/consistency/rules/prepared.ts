import { type History, op, outcome } from "./history.ts";
import { createPairTable, type PairTable } from "./intern.ts";
import { type Groups, groupBy, orderOf } from "./sorting.ts";
import { rankVersions, type VersionRanks } from "./versions.ts";

/** Where the value of a read came from, when it is not the number of a write. */
export const source = {
  /** Not a read that returned. */
  none: -1,
  /** What the key held at first. */
  initial: -2,
  /** Several writes wrote it, or it was put together by appends. */
  ambiguous: -3,
  /** Nobody wrote it. */
  phantom: -4,
  /** Only writes that failed wrote it. */
  failed: -5,
} as const;

/** What a key's operations are like, as bits. */
export const trait = {
  cas: 1,
  append: 2,
  delete: 4,
  /** A cas failed because it found another value. */
  mismatch: 8,
  /** Two writes wrote the same value, or one what was there at first. */
  repeated: 16,
  plainWrite: 32,
} as const;

/** A history with what every check needs of it, each made once. */
export interface Prepared {
  readonly history: History;
  /** All operations by their call. */
  readonly byCall: Int32Array;
  /** The operations of each key by their call. */
  readonly byKey: Groups;
  /** The same by their end; made when it is first asked for. */
  byKeyEnd(): Groups;
  readonly traits: Uint8Array;
  /** Of each read the write that it read, or one of `source`. */
  readonly source: Int32Array;
  readonly versions: VersionRanks;
  /**
   * The version's rank: an operation's own, else learned (of an unanswered write from its readers,
   * of a read from its write); 0 for what was there at first, -1 where it is not known.
   */
  readonly rank: Int32Array;
  /** Writes by (key, rank) of their own version; for each the first that has it. */
  readonly writeByVersion: PairTable;
  /** The failed write that wrote what a read with the source `failed` returned. */
  readonly failedWriter: PairTable;
}

/** Whether the operation changes its key, if it takes effect. */
export const isUpdate = (history: History, at: number): boolean => history.op[at] !== op.read;

/** Whether the operation may have taken effect and changed its key. */
export const mayApply = (history: History, at: number): boolean =>
  history.op[at] !== op.read && history.outcome[at] !== outcome.fail;

/** Whether it is a read that returned something. */
export const isAnsweredRead = (history: History, at: number): boolean =>
  history.op[at] === op.read && history.outcome[at] === outcome.ok;

/** Sorts, groups and links a history, O(n). */
export function prepare(history: History): Prepared {
  const byCall = orderOf(history.call, history.count);
  const byKey = groupBy(history.key, history.keys.length, byCall);
  const versions = rankVersions(history);
  const writers = linkWriters(history, byCall, versions);
  const from = findSources(history, writers, versions.rank);
  const rank = learnRanks(history, from, versions.rank, writers.traits);
  let ends: Groups | null = null;
  const byKeyEnd = () => {
    ends ??= groupBy(history.key, history.keys.length, orderOf(history.end, history.count));
    return ends;
  };
  return { history, byCall, byKey, byKeyEnd, versions, source: from, rank, ...writers };
}

type Writers = Pick<Prepared, "traits" | "writeByVersion" | "failedWriter"> & {
  /** Writes by (key, value); for each the one that was called first. */
  writeByValue: PairTable;
  /** Values, by (key, value), that more than one write wrote. */
  repeatedValue: PairTable;
};

function linkWriters(history: History, byCall: Int32Array, { rank }: VersionRanks): Writers {
  const { key, value, op: kind, outcome: ended, isMismatch } = history;
  const traits = new Uint8Array(history.keys.length);
  let writes = 0;
  for (let at = 0; at < history.count; at += 1) if (kind[at] !== op.read) writes += 1;
  const writeByValue = createPairTable(writes);
  const writeByVersion = createPairTable(writes);
  const failedWriter = createPairTable(countFailed(history));
  const repeated = new Set<number>();
  for (const at of byCall) {
    const [what, where] = [kind[at]!, key[at]!];
    if (what === op.read) continue;
    if (isMismatch[at]) traits[where]! |= trait.mismatch;
    if (ended[at] === outcome.fail) {
      failedWriter.add(where, value[at]!, at);
      continue;
    }
    traits[where]! |= traitOf[what]!;
    if (rank[at]! > 0) writeByVersion.add(where, rank[at]!, at);
    if (what === op.append) continue;
    const first = writeByValue.add(where, value[at]!, at);
    if (value[at] === history.initial) traits[where]! |= trait.repeated;
    if (first === at) continue;
    traits[where]! |= trait.repeated;
    repeated.add(first);
  }
  const repeatedValue = createPairTable(repeated.size);
  for (const at of repeated) repeatedValue.add(key[at]!, value[at]!, at);
  return { traits, writeByValue, writeByVersion, failedWriter, repeatedValue };
}

const traitOf: readonly number[] = [
  0,
  trait.plainWrite,
  trait.cas,
  trait.append,
  trait.delete | trait.plainWrite,
];

function countFailed({ count, outcome: ended }: History): number {
  let failed = 0;
  for (let at = 0; at < count; at += 1) if (ended[at] === outcome.fail) failed += 1;
  return failed;
}

function findSources(history: History, writers: Writers, rank: Int32Array): Int32Array {
  const { key, value, initial } = history;
  const { traits, writeByValue, writeByVersion, failedWriter, repeatedValue } = writers;
  const from = new Int32Array(history.count).fill(source.none);
  for (let at = 0; at < history.count; at += 1) {
    if (!isAnsweredRead(history, at)) continue;
    const [where, what] = [key[at]!, value[at]!];
    const write = writeByValue.get(where, what);
    const isComposed = (traits[where]! & trait.append) !== 0;
    const isInitial = what === initial;
    // Versions decide only where values can't: the algorithms must not depend on them otherwise.
    const isOpen = isComposed || (write >= 0 && (isInitial || repeatedValue.get(where, what) >= 0));
    if (isOpen) {
      const named = rank[at]! > 0 ? writeByVersion.get(where, rank[at]!) : -1;
      const fits = named >= 0 && (isComposed || value[named] === what);
      from[at] = fits ? named : source.ambiguous;
    } else if (isInitial) from[at] = source.initial;
    else if (write >= 0) from[at] = write;
    else from[at] = failedWriter.get(where, what) >= 0 ? source.failed : source.phantom;
  }
  return from;
}

function learnRanks(
  history: History,
  from: Int32Array,
  given: Int32Array,
  traits: Uint8Array,
): Int32Array {
  const rank = given.slice();
  for (let at = 0; at < history.count; at += 1) {
    const write = from[at]!;
    if (write >= 0 && rank[write] === -1 && given[at]! > 0) rank[write] = given[at]!;
  }
  for (let at = 0; at < history.count; at += 1) {
    if (rank[at] !== -1) continue;
    const write = from[at]!;
    if (write >= 0) rank[at] = rank[write]!;
    else if (write === source.initial) rank[at] = 0;
    else if (write === source.ambiguous && isFirstOfAppends(history, at, traits)) rank[at] = 0;
  }
  return rank;
}

/** Nothing read from a key that is only ever appended to: no append came before it. */
function isFirstOfAppends(history: History, at: number, traits: Uint8Array): boolean {
  const canBeEmptied = trait.delete | trait.cas | trait.plainWrite | trait.repeated;
  return history.value[at] === history.initial && (traits[history.key[at]!]! & canBeEmptied) === 0;
}
