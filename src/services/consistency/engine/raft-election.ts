import { lastSeq } from "./log.ts";
import { delayElection, keepTerm, lastOf, type Raft, type RaftMessage } from "./raft-state.ts";
import { later, tell } from "./raft-state.ts";
import { broadcast, propose } from "./raft-replication.ts";

type Of<Kind> = Extract<RaftMessage, { kind: Kind }>;

/** Stands for election whenever no leader was heard of for long enough (Raft §5.2). */
export function watchLeader(raft: Raft): void {
  const { env } = raft;
  later(raft, raft.electionDueMs - env.nowMs(), () => {
    if (raft.role === "leader") delayElection(raft);
    else if (env.nowMs() >= raft.electionDueMs) campaign(raft);
    watchLeader(raft);
  });
}

function campaign(raft: Raft): void {
  raft.term += 1;
  raft.votedFor = raft.id;
  raft.role = "candidate";
  raft.leader = null;
  raft.votes = new Set();
  delayElection(raft);
  const { term } = raft;
  keepTerm(raft, () => {
    if (raft.role !== "candidate" || raft.term !== term) return;
    for (const peer of raft.peers) tell(raft, peer, { kind: "vote", term, last: lastOf(raft) });
    count(raft, raft.id);
  });
}

/** Answers a candidate, once the vote is on the disk. */
export function onVote(raft: Raft, from: number, { term, last }: Of<"vote">): void {
  const { protocol } = raft.env;
  const isGranted =
    !protocol.isFenced(term, raft.term) &&
    raft.role !== "leader" &&
    protocol.mayVote(raft.votedFor, from, last, lastOf(raft));
  if (!isGranted) {
    tell(raft, from, { kind: "voted", term: raft.term, isGranted });
    return;
  }
  raft.votedFor = from;
  delayElection(raft);
  const asked = raft.term;
  keepTerm(raft, () => tell(raft, from, { kind: "voted", term: asked, isGranted }));
}

/** Counts a vote of this term. */
export function onVoted(raft: Raft, from: number, { term, isGranted }: Of<"voted">): void {
  if (raft.role === "candidate" && term === raft.term && isGranted) count(raft, from);
}

function count(raft: Raft, from: number): void {
  raft.votes.add(from);
  const { protocol, settings, nowMs } = raft.env;
  if (raft.votes.size < protocol.quorum(settings.replicas)) return;
  raft.role = "leader";
  raft.leader = raft.id;
  raft.next = Array.from({ length: settings.replicas }, () => lastSeq(raft.log) + 1);
  raft.match = Array.from({ length: settings.replicas }, () => 0);
  raft.heardRound = Array.from({ length: settings.replicas }, () => 0);
  raft.heardMs = Array.from({ length: settings.replicas }, () => nowMs());
  raft.match[raft.id] = raft.syncedSeq;
  // An entry of its own term tells a new leader what is committed (Raft §8).
  propose(raft, null, null);
  broadcast(raft);
}
