import { outcome } from "./history.ts";
import { causalWitness } from "./causal-witness.ts";
import { isAnsweredRead, isUpdate, mayApply, type Prepared } from "./prepared.ts";
import { held, undecided, type Verdict, violated } from "./verdict.ts";
import { newerThan, type VersionOrder } from "./version-order.ts";

const clockEntriesAtMost = 32_000_000;

/**
 * Causality across keys: who has read a write sees all that its session wrote or read before it,
 * and so on (Ahamad et al., "Causal memory", Distributed Computing 9, 1995). By versions. First
 * with one number per session, the newest version in its past: who misses nothing up to that
 * misses nothing of its past. Only for reads that do, vector clocks tell exactly, O(n × writers),
 * within a limit.
 */
export function checkCausal(
  prepared: Prepared,
  order: VersionOrder,
  wanted: (at: number) => boolean = () => true,
): Verdict {
  const { history, rank } = prepared;
  let [checked, open] = [0, 0];
  const isSuspect = new Uint8Array(history.count);
  let suspects = 0;
  const newest = newestInPast(prepared);
  for (let at = 0; at < history.count; at += 1) {
    if (!isAnsweredRead(history, at) || history.isFinal[at] || !wanted(at)) continue;
    checked += 1;
    if (rank[at]! < 0) {
      open += 1;
      continue;
    }
    const next = newerThan(prepared, order, history.key[at]!, rank[at]!);
    if (next === order.starts[history.key[at]! + 1]) continue;
    // Where each key has its own log, versions of different keys say nothing about each other.
    if (history.meta.versions === "global" && rank[order.order[next]!]! > newest[at]!) continue;
    isSuspect[at] = 1;
    suspects += 1;
  }
  const finding = suspects === 0 ? null : findMissed(prepared, order, isSuspect, newest);
  if (finding === "too large") {
    const reason = `there are too many writers for the clocks of ${suspects} reads`;
    return undecided(checked, reason);
  }
  if (finding) {
    return violated(checked, causalWitness(prepared, finding.read), finding.found);
  }
  if (open > 0) return undecided(checked, `${open} of ${checked} reads have no known version`);
  return held(checked);
}

/** Calls `absorb` for each operation once its session has its answer, before what it does next. */
export function walkSessions(
  { history, byCall }: Prepared,
  visit: (at: number) => void,
  absorb: (at: number) => void,
): void {
  const { call, end, session } = history;
  const waiting: number[][] = history.sessions.map(() => []);
  for (const at of byCall) {
    if (history.isFinal[at]) continue;
    const before = waiting[session[at]!]!;
    let kept = 0;
    for (const one of before) {
      if (end[one]! <= call[at]!) absorb(one);
      else {
        before[kept] = one;
        kept += 1;
      }
    }
    before.length = kept;
    if (history.outcome[at] === outcome.ok) before.push(at);
    visit(at);
  }
}

/** Of each operation the newest version in its causal past, as a rank. */
function newestInPast(prepared: Prepared): Int32Array {
  const { history, rank, source } = prepared;
  const ofSession = new Int32Array(history.sessions.length);
  const newest = new Int32Array(history.count);
  const raise = (session: number, to: number) => {
    if (to > ofSession[session]!) ofSession[session] = to;
  };
  walkSessions(
    prepared,
    (at) => {
      newest[at] = ofSession[history.session[at]!]!;
    },
    (at) => {
      const session = history.session[at]!;
      raise(session, rank[at]!);
      const from = source[at]!;
      if (from >= 0) raise(session, Math.max(rank[from]!, newest[from]!));
    },
  );
  return newest;
}

/** The first suspect read whose causal past has a newer update of its key. */
function findMissed(
  prepared: Prepared,
  order: VersionOrder,
  isSuspect: Uint8Array,
  newest: Int32Array,
) {
  const { history, source } = prepared;
  const { session } = history;
  const { count: width, updates, rowOf, laneOf, numberOf } = assignLanes(prepared);
  if (updates.length * width > clockEntriesAtMost) return "too large";
  const ofSession = history.sessions.map(() => new Int32Array(width));
  const clocks = new Int32Array(updates.length * width);
  let [read, found] = [-1, 0];
  walkSessions(
    prepared,
    (at) => {
      const clock = ofSession[session[at]!]!;
      if (isSuspect[at] && missesPast(prepared, order, at, newest[at]!, clock, laneOf, numberOf)) {
        found += 1;
        if (read < 0) read = at;
      }
      const row = rowOf[at]!;
      if (row < 0) return;
      clocks.set(clock, row * width);
      clocks[row * width + laneOf[at]!] = numberOf[at]!;
    },
    (at) => {
      const clock = ofSession[session[at]!]!;
      const from = isUpdate(history, at) ? at : source[at]!;
      const row = from >= 0 ? rowOf[from]! : -1;
      // What the clock includes, it includes with its past.
      if (row < 0 || clock[laneOf[from]!]! >= numberOf[from]!) return;
      const start = row * width;
      for (let lane = 0; lane < width; lane += 1) {
        const other = clocks[start + lane]!;
        if (other > clock[lane]!) clock[lane] = other;
      }
    },
  );
  return found === 0 ? null : { read, found };
}

/**
 * Whether an update of the read's key that is newer than what it returned is in the clock's past.
 */
function missesPast(
  prepared: Prepared,
  { starts, order, firstCall }: VersionOrder,
  read: number,
  newest: number,
  clock: Int32Array,
  laneOf: Int32Array,
  numberOf: Int32Array,
): boolean {
  const { history, rank } = prepared;
  const key = history.key[read]!;
  const end = starts[key + 1]!;
  const isOneLog = history.meta.versions === "global";
  const called = history.call[read]!;
  const first = newerThan(prepared, { starts, order }, key, rank[read]!);
  for (let at = first; at < end && firstCall[at]! <= called; at += 1) {
    const update = order[at]!;
    if (isOneLog && rank[update]! > newest) return false;
    if (numberOf[update]! > 0 && clock[laneOf[update]!]! >= numberOf[update]!) return true;
  }
  return false;
}

interface Lanes {
  readonly count: number;
  readonly updates: readonly number[];
  readonly rowOf: Int32Array;
  readonly laneOf: Int32Array;
  /** The update's number in its lane, from 1. */
  readonly numberOf: Int32Array;
}

/** Updates in lanes of one session each, in which they follow each other. */
function assignLanes({ history, byCall, source }: Prepared): Lanes {
  const { count, call, end, session } = history;
  const isSeen = new Uint8Array(count);
  for (const from of source) if (from >= 0) isSeen[from] = 1;
  const rowOf = new Int32Array(count).fill(-1);
  const laneOf = new Int32Array(count);
  const numberOf = new Int32Array(count);
  const updates: number[] = [];
  const ends: number[] = [];
  const sizes: number[] = [];
  const lanesOf: number[][] = history.sessions.map(() => []);
  for (const at of byCall) {
    const isOpen = end[at] === Number.POSITIVE_INFINITY;
    if (!mayApply(history, at) || (isOpen && !isSeen[at])) continue;
    const own = lanesOf[session[at]!]!;
    let lane = own.find((one) => ends[one]! <= call[at]!);
    if (lane === undefined) {
      lane = ends.length;
      own.push(lane);
      sizes.push(0);
    }
    ends[lane] = end[at]!;
    sizes[lane] = sizes[lane]! + 1;
    laneOf[at] = lane;
    numberOf[at] = sizes[lane]!;
    rowOf[at] = updates.length;
    updates.push(at);
  }
  return { count: ends.length, updates, rowOf, laneOf, numberOf };
}
