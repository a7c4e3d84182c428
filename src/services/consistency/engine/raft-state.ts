import type { Version } from "../rules/history.ts";
import type { Disk } from "./disk.ts";
import { copyLog, type Log, lastSeq, termAt } from "./log.ts";
import { copyMachine, emptyMachine, type Machine } from "./machine.ts";
import type { Answer, Ask, Cell, Entry, Env, Write } from "./types.ts";
import type { Timer } from "./scheduler.ts";

/** What replicas of a CP store say to each other (Raft, figure 2). */
export type RaftMessage =
  | { kind: "vote"; term: number; last: Version }
  | { kind: "voted"; term: number; isGranted: boolean }
  | {
      kind: "append";
      term: number;
      prevSeq: number;
      prevTerm: number;
      entries: readonly Entry[];
      commit: number;
      round: number;
    }
  | { kind: "snapshot"; term: number; seq: number; seqTerm: number; state: Machine; round: number }
  | { kind: "appended"; term: number; isOk: boolean; match: number; round: number }
  | { kind: "write"; write: Write }
  | { kind: "wrote"; id: string; end: WriteEnd }
  | { kind: "index"; id: string | null; askedMs: number }
  | { kind: "indexed"; id: string | null; askedMs: number; seq: number | null };

/** What a leader tells of a write; `elsewhere`: it is no leader, `unheard`: it no longer is. */
export type WriteEnd =
  | {
      status: "ok" | "mismatch";
      version: Version;
      acknowledgements: number;
      found: Cell | null;
    }
  | { status: "elsewhere" | "unheard" };

/** What a crash leaves. */
export interface Durable {
  term: number;
  votedFor: number | null;
  log: Log;
}

/** A request that a replica has not answered yet. */
export interface Open {
  readonly ask: Ask;
  readonly done: (answer: Answer) => void;
  deadline: Timer | null;
  /** Whether a leader may have it. */
  isSent: boolean;
  /** What the leader had committed, for a read that asked it. */
  index: number | null;
  /** When and in which term its leader was last asked. */
  triedMs: number;
  triedTerm: number;
}

interface PendingRead {
  readonly round: number;
  readonly from: number;
  readonly id: string | null;
  readonly askedMs: number;
}

/** One replica: what it must not forget, and what a crash may take. */
export interface Raft {
  readonly env: Env<RaftMessage>;
  readonly id: number;
  /** The other replicas. */
  readonly peers: readonly number[];
  readonly disk: Disk<Durable>;
  isUp: boolean;
  /** Counts restarts, so that timers of a life before do nothing. */
  life: number;
  term: number;
  votedFor: number | null;
  log: Log;
  durableTerm: number;
  /** Entries up to it are on the disk, as of `rewrites` truncations. */
  syncedSeq: number;
  rewrites: number;
  role: "follower" | "candidate" | "leader";
  leader: number | null;
  commit: number;
  applied: number;
  machine: Machine;
  electionDueMs: number;
  votes: Set<number>;
  next: number[];
  match: number[];
  round: number;
  heardRound: number[];
  heardMs: number[];
  proposals: Map<number, { from: number; id: string }>;
  reads: PendingRead[];
  opens: Map<string, Open>;
  /** Everything acknowledged before `provenMs` is applied. */
  provenMs: number;
  proofs: { askedMs: number; seq: number }[];
  /** Takes a message; `progressed` looks again at requests that wait. */
  receive: (from: number, message: RaftMessage) => void;
  progressed: () => void;
}

/** A replica as its disk has it. */
export function createRaft(env: Env<RaftMessage>, id: number, disk: Disk<Durable>): Raft {
  const raft: Raft = {
    env,
    id,
    peers: Array.from({ length: env.settings.replicas }, (_, at) => at).filter((at) => at !== id),
    disk,
    isUp: false,
    life: 0,
    term: 0,
    votedFor: null,
    log: disk.image.log,
    durableTerm: 0,
    syncedSeq: 0,
    rewrites: 0,
    role: "follower",
    leader: null,
    commit: 0,
    applied: 0,
    machine: emptyMachine(),
    electionDueMs: 0,
    votes: new Set(),
    next: [],
    match: [],
    round: 0,
    heardRound: [],
    heardMs: [],
    proposals: new Map(),
    reads: [],
    opens: new Map(),
    provenMs: Number.NEGATIVE_INFINITY,
    proofs: [],
    receive: () => {},
    progressed: () => {},
  };
  load(raft);
  return raft;
}

/** Begins a life with what the disk has. */
export function load(raft: Raft): void {
  const { image } = raft.disk;
  raft.isUp = true;
  raft.life += 1;
  raft.term = image.term;
  raft.durableTerm = image.term;
  raft.votedFor = image.votedFor;
  raft.log = copyLog(image.log);
  raft.syncedSeq = lastSeq(raft.log);
  raft.rewrites += 1;
  raft.role = "follower";
  raft.leader = null;
  raft.commit = raft.log.baseSeq;
  raft.applied = raft.log.baseSeq;
  raft.machine = copyMachine(raft.log.snapshot);
  raft.votes = new Set();
  raft.proposals = new Map();
  raft.reads = [];
  raft.opens = new Map();
  raft.provenMs = Number.NEGATIVE_INFINITY;
  raft.proofs = [];
  delayElection(raft);
}

/** Puts off the next election by chance, so that not all stand at once (Raft §5.2). */
export function delayElection(raft: Raft): void {
  const { electionMs } = raft.env.settings;
  raft.electionDueMs = raft.env.nowMs() + raft.env.chance.between(electionMs, electionMs * 2);
}

/** Runs it later, unless the replica has crashed by then. */
export function later(raft: Raft, ms: number, run: () => void): Timer {
  const { life } = raft;
  return raft.env.after(ms, () => {
    if (raft.isUp && raft.life === life) run();
  });
}

/** The last entry of the log. */
export const lastOf = ({ log }: Raft): Version => ({
  term: termAt(log, lastSeq(log)),
  seq: lastSeq(log),
});

/** The newest version that the replica has applied. */
export const appliedOf = ({ log, applied }: Raft): Version => ({
  term: Math.max(0, termAt(log, applied)),
  seq: applied,
});

/** Writes term and vote down, then goes on. */
export function keepTerm(raft: Raft, then: () => void): void {
  const { term, votedFor, life } = raft;
  const kept = raft.env.protocol.keptVote(votedFor);
  raft.disk.write(
    (image) => {
      image.term = term;
      image.votedFor = kept;
    },
    () => {
      if (!raft.isUp || raft.life !== life) return;
      raft.durableTerm = Math.max(raft.durableTerm, term);
      then();
    },
  );
}

/**
 * Follows, in this term or a later one. What it had to answer as a leader it gives up: writes may
 * yet be committed by another, reads have to ask that other.
 */
export function stepDown(raft: Raft, term: number): void {
  const isLater = term > raft.term;
  if (isLater) {
    raft.term = term;
    raft.votedFor = null;
    keepTerm(raft, () => {});
  }
  if (isLater || raft.role === "leader") raft.leader = null;
  raft.role = "follower";
  const { proposals, reads } = raft;
  raft.proposals = new Map();
  raft.reads = [];
  for (const { from, id } of proposals.values()) {
    tell(raft, from, { kind: "wrote", id, end: { status: "unheard" } });
  }
  for (const { from, id, askedMs } of reads) {
    tell(raft, from, { kind: "indexed", id, askedMs, seq: null });
  }
}

/** Sends a message; one to itself arrives as the next event. */
export function tell(raft: Raft, to: number, message: RaftMessage): void {
  if (to === raft.id) later(raft, 0, () => raft.receive(to, message));
  else raft.env.send(raft.id, to, message);
}
