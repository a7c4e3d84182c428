import { compact, entriesAfter, lastSeq, replaceAfter, restart, termAt } from "./log.ts";
import { applyEntry, copyMachine } from "./machine.ts";
import type { Entry, Write } from "./types.ts";
import { delayElection, later, type Raft, type RaftMessage, stepDown, tell } from "./raft-state.ts";

type Of<Kind> = Extract<RaftMessage, { kind: Kind }>;

const entriesAtOnce = 64;

/** Adds to the leader's log; null is the entry that begins a term. */
export function propose(
  raft: Raft,
  write: Write | null,
  proposer: { from: number; id: string } | null,
): void {
  const seq = lastSeq(raft.log) + 1;
  if (proposer) raft.proposals.set(seq, proposer);
  store(raft, seq - 1, [{ term: raft.term, seq, write }], () => {
    if (raft.role !== "leader") return;
    raft.match[raft.id] = raft.syncedSeq;
    advance(raft);
  });
}

/** Puts entries into the log, writes them to the disk, then goes on if nothing replaced them. */
function store(raft: Raft, prevSeq: number, entries: readonly Entry[], then: () => void): void {
  if (prevSeq < lastSeq(raft.log)) {
    raft.rewrites += 1;
    raft.syncedSeq = Math.min(raft.syncedSeq, prevSeq);
  }
  replaceAfter(raft.log, prevSeq, entries);
  const { life, rewrites } = raft;
  const end = prevSeq + entries.length;
  const synced = () => {
    raft.syncedSeq = Math.max(raft.syncedSeq, end);
    then();
  };
  raft.disk.write(
    (image) => replaceAfter(image.log, prevSeq, entries),
    () => {
      if (!raft.isUp || raft.life !== life || raft.rewrites !== rewrites) return;
      if (raft.env.protocol.syncsFirst()) synced();
    },
  );
  if (!raft.env.protocol.syncsFirst()) synced();
}

/** Begins a round: every replica gets what it lacks, and its answer confirms the leader. */
export function broadcast(raft: Raft): void {
  raft.round += 1;
  for (const peer of raft.peers) send(raft, peer);
}

function send(raft: Raft, to: number): void {
  const { log, term, round } = raft;
  const prevSeq = raft.next[to]! - 1;
  if (prevSeq < log.baseSeq) {
    const { baseSeq: seq, baseTerm: seqTerm, snapshot: state } = log;
    raft.next[to] = seq + 1;
    tell(raft, to, { kind: "snapshot", term, seq, seqTerm, state, round });
    return;
  }
  const entries = entriesAfter(log, prevSeq, entriesAtOnce);
  // Sent ahead of the answers; an answer that finds a gap takes it back.
  raft.next[to] = prevSeq + entries.length + 1;
  tell(raft, to, {
    kind: "append",
    term,
    prevSeq,
    prevTerm: termAt(log, prevSeq),
    entries,
    commit: raft.commit,
    round,
  });
}

/** Takes over what a leader has (Raft §5.3). */
export function onAppend(raft: Raft, from: number, message: Of<"append">): void {
  const { prevSeq, prevTerm, entries, round } = message;
  if (!follow(raft, from, message.term, round)) return;
  const answer = (isOk: boolean, match: number) => acknowledge(raft, from, { isOk, match, round });
  const end = prevSeq + entries.length;
  if (prevSeq > raft.log.baseSeq && termAt(raft.log, prevSeq) !== prevTerm) {
    answer(false, Math.min(lastSeq(raft.log), prevSeq - 1));
    return;
  }
  const fresh = entries.filter(
    ({ seq, term }) => seq > raft.log.baseSeq && termAt(raft.log, seq) !== term,
  );
  const [first] = fresh;
  if (first === undefined) {
    commitTo(raft, Math.min(message.commit, end));
    answer(true, Math.min(end, raft.syncedSeq));
    return;
  }
  const rest = entries.filter(({ seq }) => seq >= first.seq);
  store(raft, first.seq - 1, rest, () => answer(true, end));
  commitTo(raft, Math.min(message.commit, end));
}

/** Takes over a snapshot in place of entries that its leader no longer has (Raft §7). */
export function onSnapshot(raft: Raft, from: number, message: Of<"snapshot">): void {
  const { seq, seqTerm, state, round } = message;
  if (!follow(raft, from, message.term, round)) return;
  if (seq <= raft.applied) {
    acknowledge(raft, from, { isOk: true, match: Math.min(seq, raft.syncedSeq), round });
    return;
  }
  const { life } = raft;
  const isKept = termAt(raft.log, seq) === seqTerm;
  if (!isKept) {
    raft.rewrites += 1;
    raft.syncedSeq = 0;
  }
  const { rewrites } = raft;
  restart(raft.log, seq, seqTerm, state);
  raft.machine = copyMachine(state);
  raft.applied = seq;
  raft.commit = Math.max(raft.commit, seq);
  raft.disk.write(
    (image) => restart(image.log, seq, seqTerm, state),
    () => {
      if (!raft.isUp || raft.life !== life || raft.rewrites !== rewrites) return;
      raft.syncedSeq = Math.max(raft.syncedSeq, seq);
      acknowledge(raft, from, { isOk: true, match: seq, round });
    },
  );
  raft.progressed();
}

/** Whether the sender leads this replica; what an earlier term's leader says is refused. */
function follow(raft: Raft, from: number, term: number, round: number): boolean {
  if (raft.env.protocol.isFenced(term, raft.term)) {
    tell(raft, from, { kind: "appended", term: raft.term, isOk: false, match: 0, round });
    return false;
  }
  if (raft.role !== "follower") stepDown(raft, term);
  const isNew = raft.leader !== from;
  raft.leader = from;
  delayElection(raft);
  if (isNew) raft.progressed();
  return true;
}

/** Answers for the term that it follows, once that is on the disk. */
function acknowledge(
  raft: Raft,
  to: number,
  answer: { isOk: boolean; match: number; round: number },
): void {
  const { term, life } = raft;
  const say = () => {
    if (raft.term === term && raft.life === life)
      tell(raft, to, { kind: "appended", term, ...answer });
  };
  if (raft.durableTerm === term) say();
  else raft.disk.write(() => {}, say);
}

/** Counts what a follower has, and that it still follows. */
export function onAppended(raft: Raft, from: number, message: Of<"appended">): void {
  if (raft.role !== "leader" || raft.env.protocol.isFenced(message.term, raft.term)) return;
  raft.heardMs[from] = raft.env.nowMs();
  raft.heardRound[from] = Math.max(raft.heardRound[from]!, message.round);
  if (message.isOk) {
    raft.match[from] = Math.max(raft.match[from]!, message.match);
    raft.next[from] = Math.max(raft.next[from]!, raft.match[from] + 1);
    if (message.match > raft.commit) advance(raft);
  } else {
    raft.next[from] = Math.max(
      raft.match[from]! + 1,
      Math.min(raft.next[from]!, message.match + 1),
    );
    send(raft, from);
  }
  confirmReads(raft);
}

/** Commits what a majority has on its disks (Raft §5.3, §5.4.2). */
function advance(raft: Raft): void {
  const { protocol, settings } = raft.env;
  const sorted = raft.match.toSorted((a, b) => b - a);
  const seq = Math.min(sorted[protocol.quorum(settings.replicas) - 1]!, lastSeq(raft.log));
  if (seq > raft.commit && protocol.mayCommit(termAt(raft.log, seq), raft.term)) {
    commitTo(raft, seq);
    confirmReads(raft);
  }
}

function commitTo(raft: Raft, seq: number): void {
  raft.commit = Math.max(raft.commit, Math.min(seq, lastSeq(raft.log)));
  if (raft.applied >= raft.commit) return;
  while (raft.applied < raft.commit) applyNext(raft);
  const { logEntriesAtMost } = raft.env.settings;
  if (raft.applied - raft.log.baseSeq > logEntriesAtMost) shorten(raft);
  raft.progressed();
}

function applyNext(raft: Raft): void {
  const seq = raft.applied + 1;
  const entry = entriesAfter(raft.log, seq - 1, 1)[0]!;
  const applied = applyEntry(raft.machine, entry, raft.env.protocol);
  raft.applied = seq;
  const proposer = raft.proposals.get(seq);
  if (!proposer) return;
  raft.proposals.delete(seq);
  if (applied === null) {
    tell(raft, proposer.from, { kind: "wrote", id: proposer.id, end: { status: "unheard" } });
    return;
  }
  const { isMatch, version, found } = applied;
  const acknowledgements = raft.match.filter((match) => match >= seq).length;
  const status = isMatch ? "ok" : "mismatch";
  const end = { status, version, acknowledgements, found } as const;
  tell(raft, proposer.from, { kind: "wrote", id: proposer.id, end });
}

function shorten(raft: Raft): void {
  const { applied: seq } = raft;
  const snapshot = copyMachine(raft.machine);
  compact(raft.log, seq, snapshot);
  raft.disk.write(
    (image) => compact(image.log, seq, snapshot),
    () => {},
  );
}

/**
 * Tells replicas what is committed, once a round that began after they asked has confirmed that no
 * other leads (ReadIndex, Raft dissertation §6.4).
 */
export function confirmReads(raft: Raft): void {
  if (raft.role !== "leader" || termAt(raft.log, raft.commit) !== raft.term) return;
  const { protocol, settings } = raft.env;
  if (raft.reads.length === 0) return;
  const left: Raft["reads"] = [];
  for (const read of raft.reads) {
    let heard = 0;
    for (const peer of raft.peers) if (raft.heardRound[peer]! >= read.round) heard += 1;
    if (!protocol.isConfirmed(heard + 1, settings.replicas)) left.push(read);
    else {
      const { id, askedMs } = read;
      tell(raft, read.from, { kind: "indexed", id, askedMs, seq: raft.commit });
    }
  }
  raft.reads = left;
}

/** Keeps followers following; a leader that no majority answers steps down (dissertation §6.2). */
export function beat(raft: Raft): void {
  later(raft, raft.env.settings.heartbeatMs, () => beat(raft));
  if (raft.role !== "leader") return;
  const { settings, protocol, nowMs } = raft.env;
  const since = nowMs() - settings.electionMs * 2;
  const heard = raft.peers.filter((peer) => raft.heardMs[peer]! >= since).length;
  if (heard + 1 >= protocol.quorum(settings.replicas)) broadcast(raft);
  else stepDown(raft, raft.term);
}
