import { op, outcome } from "./history.ts";
import { isAnsweredRead, isUpdate, type Prepared, source, trait } from "./prepared.ts";
import { held, undecided, type Verdict, violated, type Witness, witnessOf } from "./verdict.ts";
import { versionText } from "./version-order.ts";
import { keyText, lengthText, listText, operationText, valueOf } from "./words.ts";

/** What became of acknowledged updates, and whether the replicas agree. */
export interface Convergence {
  readonly agreement: Verdict;
  readonly durability: Verdict;
  readonly lost: Loss;
}

/** The acknowledged updates that are gone. */
export interface Loss {
  readonly count: number;
  /** The ids of the first of them. */
  readonly operations: readonly string[];
  /** When the first and the last of them were acknowledged; null where none was. */
  readonly windowMs: readonly [from: number, to: number] | null;
}

const namedAtMost = 1_000;
const shownWrites = 4;

/**
 * Eventual consistency after faults are healed and all is quiet (Vogels, "Eventually consistent",
 * CACM 52(1), 2009): the last final read of each key is the same from every replica, and no
 * acknowledged update is missing in it. An update is gone when it is newer than what stands in the
 * end; when a new term's log did not take it over (`forks`); when its text is in no final value;
 * or, without versions, when it was called after what stands in the end had ended. O(n log n).
 */
export function checkConvergence(prepared: Prepared): Convergence {
  const { history } = prepared;
  const finals = lastFinals(prepared);
  const lost = new Set(lostToForks(prepared));
  if (finals.size === 0) {
    const reason = "there are no final reads, made from each replica after all was quiet";
    const durability =
      lost.size > 0 ? lossVerdict(prepared, lost, history.count) : undecided(0, reason);
    return { agreement: undecided(0, reason), durability, lost: lossOf(prepared, lost) };
  }
  const broken: Witness[] = [];
  let reads = 0;
  for (const [key, ofReplicas] of finals) {
    reads += ofReplicas.length;
    const disagreement = disagreementOf(prepared, ofReplicas);
    if (disagreement) broken.push(disagreement);
    for (const at of missingIn(prepared, key, ofReplicas)) lost.add(at);
  }
  const agreement = broken[0] ? violated(reads, broken[0], broken.length) : held(reads);
  return {
    agreement,
    durability: lossVerdict(prepared, lost, reads),
    lost: lossOf(prepared, lost),
  };
}

/** The last final reads of each key, one of each replica. */
function lastFinals({ history, byCall }: Prepared): Map<number, number[]> {
  const last = new Map<string, number>();
  for (const at of byCall) {
    if (!history.isFinal[at] || !isAnsweredRead(history, at)) continue;
    last.set(`${history.key[at]} ${history.replica[at]}`, at);
  }
  const byKey = new Map<number, number[]>();
  for (const at of last.values()) {
    const key = history.key[at]!;
    byKey.set(key, [...(byKey.get(key) ?? []), at]);
  }
  return byKey;
}

function disagreementOf({ history }: Prepared, reads: readonly number[]): Witness | null {
  const [first] = reads;
  const other = reads.find((at) => history.value[at] !== history.value[first!]);
  if (first === undefined || other === undefined) return null;
  const replica = (at: number) => history.replicas[history.replica[at]!] ?? "one replica";
  const sentence =
    `In the end ${replica(first)} holds ${valueOf(history, history.value[first]!)}` +
    `${keyText(history, first)} (${history.ids[first]}) and ${replica(other)} holds ` +
    `${valueOf(history, history.value[other]!)} (${history.ids[other]}).`;
  return witnessOf(history, [first, other], sentence);
}

const isAcknowledged = ({ history }: Prepared, at: number): boolean =>
  isUpdate(history, at) && history.outcome[at] === outcome.ok;

/** Acknowledged updates that are in no replica's final value of the key. */
function missingIn(prepared: Prepared, key: number, finals: readonly number[]): number[] {
  const { history, byKey, rank, traits, source: from } = prepared;
  const newest = Math.max(...finals.map((at) => rank[at]!));
  const texts = finals.map((at) => history.values[history.value[at]!]);
  const isRead = (at: number) => finals.some((read) => from[read] === at);
  const lastEnd = Math.max(
    ...finals.map((at) => {
      const write = from[at]!;
      return write >= 0 ? history.end[write]! : Number.NEGATIVE_INFINITY;
    }),
  );
  const isKnownSource = finals.every((at) => from[at]! >= 0 || from[at] === source.initial);
  const missing: number[] = [];
  const only = trait.append | trait.repeated;
  const isGrowing = (traits[key]! & ~only) === 0;
  for (let next = byKey.starts[key]!; next < byKey.starts[key + 1]!; next += 1) {
    const at = byKey.order[next]!;
    if (!isAcknowledged(prepared, at)) continue;
    const isByVersion = newest >= 0 && rank[at]! > 0;
    if (isByVersion && rank[at]! > newest) missing.push(at);
    else if (history.op[at] === op.append && isGrowing) {
      const piece = history.values[history.value[at]!] as string;
      if (!texts.some((text) => typeof text === "string" && text.includes(piece))) missing.push(at);
    } else if (!isByVersion && isKnownSource && !isRead(at) && history.call[at]! > lastEnd) {
      missing.push(at);
    }
  }
  return missing;
}

/** Acknowledged updates of earlier terms beyond the point where a later term's log took over. */
function lostToForks(prepared: Prepared): number[] {
  const { history } = prepared;
  const lost: number[] = [];
  if (history.meta.forks.length === 0) return lost;
  for (const at of prepared.byCall) {
    if (!isAcknowledged(prepared, at) || history.term[at]! < 0) continue;
    const [term, seq] = [history.term[at]!, history.seq[at]!];
    const isLost = history.meta.forks.some(
      ({ term: later, after }) =>
        term < later && (term > after.term || (term === after.term && seq > after.seq)),
    );
    if (isLost) lost.push(at);
  }
  return lost;
}

function lossOf({ history }: Prepared, lost: ReadonlySet<number>): Loss {
  const sorted = [...lost].sort((a, b) => history.end[a]! - history.end[b]! || a - b);
  const [first, last] = [sorted[0], sorted.at(-1)];
  return {
    count: sorted.length,
    operations: sorted.slice(0, namedAtMost).map((at) => history.ids[at]!),
    windowMs:
      first === undefined || last === undefined ? null : [history.end[first]!, history.end[last]!],
  };
}

function lossVerdict(prepared: Prepared, lost: ReadonlySet<number>, checked: number): Verdict {
  const { history } = prepared;
  const { count, windowMs } = lossOf(prepared, lost);
  if (count === 0 || windowMs === null) return held(checked);
  const sorted = [...lost].sort((a, b) => history.end[a]! - history.end[b]! || a - b);
  const shown = sorted.slice(0, shownWrites);
  const withVersion = (at: number) => {
    const version = history.term[at]! < 0 ? "" : ` of version ${versionText(history, at)}`;
    return `${operationText(history, at)}${version}`;
  };
  const more = count > shown.length ? [`${count - shown.length} more`] : [];
  const length = lengthText(history, windowMs[1] - windowMs[0]);
  const within = length ? `, all acknowledged within${length}` : "";
  const names = listText([...shown.map(withVersion), ...more]);
  const what = count === 1 ? "1 acknowledged update is" : `${count} acknowledged updates are`;
  const sentence = `${what} gone: ${names}${within}.`;
  return violated(checked, witnessOf(history, shown, sentence), count);
}
