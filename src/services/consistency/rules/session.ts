import { outcome } from "./history.ts";
import { isUpdate, type Prepared } from "./prepared.ts";
import { groupBy } from "./sorting.ts";
import { held, undecided, type Verdict, violated, type Witness, witnessOf } from "./verdict.ts";
import { newerThan, type VersionOrder, versionText } from "./version-order.ts";
import { rankAtMost } from "./versions.ts";
import { keyText, operationText } from "./words.ts";

/** The four guarantees of a session, and the barrier that its token is. */
export const sessionGuarantees = [
  "readYourWrites",
  "monotonicReads",
  "monotonicWrites",
  "writesFollowReads",
  "token",
] as const;
export type SessionGuarantee = (typeof sessionGuarantees)[number];

/** What is known of one guarantee so far. */
interface Tally {
  checked: number;
  found: number;
  /** Pairs of which a version is missing. */
  open: number;
  first: Witness | null;
}

/** What a session has done with each key so far; entries of other sessions carry another stamp. */
interface Memory {
  readonly stamp: Int32Array;
  /** The update and the read with the newest version; -1 for none. */
  readonly wrote: Int32Array;
  readonly read: Int32Array;
  /** An update or read without a version; -1 for none. */
  readonly wroteOpen: Int32Array;
  readonly readOpen: Int32Array;
}

/**
 * The session guarantees of Terry et al., "Session guarantees for weakly consistent replicated
 * data", PDIS 1994, by versions, O(n): a read is no older than what its session wrote (read your
 * writes) or read (monotonic reads) of the key before; a write is newer than what its session
 * wrote (monotonic writes) or read (writes follow reads) before, of any key where versions are the
 * store's, else of its own. A read with a token misses nothing up to it. `wanted` takes the
 * operations that are held to it; all of a session's operations count as its past.
 */
export function checkSession(
  prepared: Prepared,
  order: VersionOrder,
  wanted: (at: number) => boolean = () => true,
): Record<SessionGuarantee, Verdict> {
  const { history, byCall } = prepared;
  const tallies = Object.fromEntries(
    sessionGuarantees.map((name) => [name, { checked: 0, found: 0, open: 0, first: null }]),
  ) as unknown as Record<SessionGuarantee, Tally>;
  const keys = history.keys.length;
  const memory: Memory = {
    stamp: new Int32Array(keys).fill(-1),
    wrote: new Int32Array(keys),
    read: new Int32Array(keys),
    wroteOpen: new Int32Array(keys),
    readOpen: new Int32Array(keys),
  };
  const { starts, order: sorted } = groupBy(history.session, history.sessions.length, byCall);
  const tell = createTeller(prepared, tallies);
  for (let session = 0; session < history.sessions.length; session += 1) {
    const operations = sorted.subarray(starts[session], starts[session + 1]);
    walkSession(prepared, { session, operations, memory, wanted, tell });
  }
  checkTokens(prepared, order, wanted, tallies.token);
  return Object.fromEntries(
    sessionGuarantees.map((name) => [name, verdictOf(tallies[name])]),
  ) as Record<SessionGuarantee, Verdict>;
}

function verdictOf({ checked, found, open, first }: Tally): Verdict {
  if (first) return violated(checked, first, found);
  if (open === 0) return held(checked);
  return undecided(checked, `versions are missing that decide ${open} of ${checked} operations`);
}

type Tell = (name: SessionGuarantee, before: number, at: number, open: number) => void;

/** Compares an operation with what the session did before; `before` and `open` may be -1. */
function createTeller(prepared: Prepared, tallies: Record<SessionGuarantee, Tally>): Tell {
  const { history, rank } = prepared;
  return (name, before, at, open) => {
    const tally = tallies[name];
    tally.checked += 1;
    if (before < 0 && open < 0) return;
    if (rank[at]! < 0) {
      tally.open += 1;
      return;
    }
    if (before >= 0 && rank[before]! > rank[at]!) {
      tally.found += 1;
      if (tally.first && history.call[tally.first.at.at(-1)!]! <= history.call[at]!) return;
      tally.first = pairWitness(prepared, name, before, at);
    } else if (open >= 0 && prepared.source[at] !== open) tally.open += 1;
  };
}

interface Walk {
  readonly session: number;
  readonly operations: Int32Array;
  readonly memory: Memory;
  readonly wanted: (at: number) => boolean;
  readonly tell: Tell;
}

function walkSession(prepared: Prepared, walk: Walk): void {
  const { history } = prepared;
  const { call, end, key: keyOf } = history;
  const { operations, memory, wanted, tell } = walk;
  const past = { wrote: -1, read: -1, wroteOpen: -1, readOpen: -1 };
  const open: number[] = [];
  const isPerKey = history.meta.versions === "key";
  for (const at of operations) {
    if (history.isFinal[at]) continue;
    let kept = 0;
    for (const one of open) {
      // What ends as the next is called was before it: a session waits for its answers.
      if (end[one]! <= call[at]!) remember(prepared, walk, past, one);
      else {
        open[kept] = one;
        kept += 1;
      }
    }
    open.length = kept;
    if (history.outcome[at] !== outcome.ok) continue;
    open.push(at);
    if (!wanted(at)) continue;
    const key = keyOf[at]!;
    const isUpdating = isUpdate(history, at);
    let { wrote, read, wroteOpen, readOpen } = past;
    if (!isUpdating || isPerKey) {
      const isKnown = memory.stamp[key] === walk.session;
      wrote = isKnown ? memory.wrote[key]! : -1;
      read = isKnown ? memory.read[key]! : -1;
      wroteOpen = isKnown ? memory.wroteOpen[key]! : -1;
      readOpen = isKnown ? memory.readOpen[key]! : -1;
    }
    tell(isUpdating ? "monotonicWrites" : "readYourWrites", wrote, at, wroteOpen);
    tell(isUpdating ? "writesFollowReads" : "monotonicReads", read, at, readOpen);
  }
}

type Past = Record<"wrote" | "read" | "wroteOpen" | "readOpen", number>;

function remember(prepared: Prepared, { session, memory }: Walk, past: Past, at: number): void {
  const { history, rank } = prepared;
  const key = history.key[at]!;
  if (memory.stamp[key] !== session) {
    memory.stamp[key] = session;
    memory.wrote[key] = -1;
    memory.read[key] = -1;
    memory.wroteOpen[key] = -1;
    memory.readOpen[key] = -1;
  }
  const isNewer = (before: number) => before < 0 || rank[at]! > rank[before]!;
  if (isUpdate(history, at)) {
    if (rank[at]! < 0) memory.wroteOpen[key] = past.wroteOpen = at;
    else {
      if (isNewer(memory.wrote[key]!)) memory.wrote[key] = at;
      if (isNewer(past.wrote)) past.wrote = at;
    }
  } else if (rank[at]! < 0) memory.readOpen[key] = past.readOpen = at;
  else {
    if (isNewer(memory.read[key]!)) memory.read[key] = at;
    if (isNewer(past.read)) past.read = at;
  }
}

const deeds: Record<Exclude<SessionGuarantee, "token">, string> = {
  readYourWrites: "had itself written",
  monotonicReads: "had already read",
  monotonicWrites: "had already written",
  writesFollowReads: "had already read",
};

function pairWitness(
  { history, source }: Prepared,
  name: SessionGuarantee,
  before: number,
  at: number,
): Witness {
  const session = history.sessions[history.session[at]!];
  const deed = deeds[name as keyof typeof deeds];
  const verb = isUpdate(history, at) ? "was given" : "returned";
  const versionOf = (one: number) => {
    const from = source[one]!;
    if (history.term[one]! < 0 && from < 0) return "nothing yet";
    return `version ${versionText(history, history.term[one]! < 0 ? from : one)}`;
  };
  const sentence =
    `${operationText(history, at)}${keyText(history, at)} ${verb} ${versionOf(at)}, although its ` +
    `session ${session} ${deed} ${versionOf(before)} in ${operationText(history, before)}.`;
  return witnessOf(history, [before, at], sentence);
}

/** Reads that were given a minimum version miss no update of their key up to it. */
function checkTokens(
  prepared: Prepared,
  order: VersionOrder,
  wanted: (at: number) => boolean,
  tally: Tally,
): void {
  const { history, rank, byCall, versions } = prepared;
  for (const at of byCall) {
    const isHeld = history.tokenTerm[at]! >= 0 && history.outcome[at] === outcome.ok;
    if (!isHeld || isUpdate(history, at) || history.isFinal[at] || !wanted(at)) continue;
    tally.checked += 1;
    if (rank[at]! < 0) {
      tally.open += 1;
      continue;
    }
    const token = { term: history.tokenTerm[at]!, seq: history.tokenSeq[at]! };
    const key = history.key[at]!;
    const next = newerThan(prepared, order, key, rank[at]!);
    if (next === order.starts[key + 1]) continue;
    const missed = order.order[next]!;
    if (rank[missed]! > rankAtMost(versions, token)) continue;
    tally.found += 1;
    const sentence =
      `${operationText(history, at)}${keyText(history, at)} had the token ` +
      `${token.term}.${token.seq}, yet missed ${operationText(history, missed)} of version ` +
      `${versionText(history, missed)}.`;
    tally.first ??= witnessOf(history, [missed, at], sentence);
  }
}
