import type { Disk } from "./disk.ts";
import type { Member } from "./member.ts";
import {
  ask,
  keepAsking,
  lookAgain,
  mayRead,
  onIndex,
  onIndexed,
  onWrite,
  onWrote,
} from "./raft-answers.ts";
import { onVote, onVoted, watchLeader } from "./raft-election.ts";
import { beat, onAppend, onAppended, onSnapshot } from "./raft-replication.ts";
import {
  appliedOf,
  createRaft,
  type Durable,
  load,
  type Raft,
  type RaftMessage,
  stepDown,
} from "./raft-state.ts";
import type { Env } from "./types.ts";
import { emptyLog } from "./log.ts";

/** A disk with nothing on it. */
export const emptyDurable = (): Durable => ({ term: 0, votedFor: null, log: emptyLog() });

type Handlers = {
  [Kind in RaftMessage["kind"]]: (
    raft: Raft,
    from: number,
    message: Extract<RaftMessage, { kind: Kind }>,
  ) => void;
};

const handlers: Handlers = {
  vote: onVote,
  voted: onVoted,
  append: onAppend,
  snapshot: onSnapshot,
  appended: onAppended,
  write: onWrite,
  wrote: onWrote,
  index: onIndex,
  indexed: onIndexed,
};

/**
 * A replica of a CP store: Raft (Ongaro and Ousterhout, "In search of an understandable consensus
 * algorithm", USENIX ATC 2014), with ReadIndex for strong reads and local reads below that.
 */
export function createRaftMember(
  env: Env<RaftMessage>,
  id: number,
  disk: Disk<Durable>,
): Member<RaftMessage> {
  const raft = createRaft(env, id, disk);
  raft.receive = (from, message) => {
    if (!raft.isUp) return;
    // Whoever hears of a later term follows (Raft §5.1).
    if ("term" in message && message.term > raft.term) stepDown(raft, message.term);
    const handle = handlers[message.kind] as (
      raft: Raft,
      from: number,
      message: RaftMessage,
    ) => void;
    handle(raft, from, message);
  };
  raft.progressed = () => lookAgain(raft);
  const begin = () => {
    watchLeader(raft);
    beat(raft);
    keepAsking(raft);
  };
  begin();
  return {
    ask: (wanted, done) =>
      ask(raft, wanted, wanted.withinMs ?? env.settings.operationTimeoutMs, done),
    mayRead: (wanted) => mayRead(raft, { ask: wanted, index: null }),
    receive: (from, message) => raft.receive(from, message),
    crash() {
      raft.isUp = false;
      disk.crash();
    },
    restart() {
      load(raft);
      begin();
    },
    status() {
      const age = env.nowMs() - raft.provenMs;
      return {
        isUp: raft.isUp,
        role: raft.role,
        term: raft.term,
        leader: raft.leader,
        applied: appliedOf(raft),
        held: raft.applied,
        stalenessMs: Number.isFinite(age) ? age : null,
        logEntries: raft.log.entries.length,
        vector: null,
      };
    },
    cellOf: (key) => raft.machine.cells.get(key) ?? null,
    versionOf(write) {
      const applied = raft.machine.done.get(write);
      return applied?.isMatch ? applied.version : null;
    },
  };
}
