import { newerOf, noVersion, refusal } from "./member.ts";
import { broadcast, confirmReads, propose } from "./raft-replication.ts";
import { appliedOf, later, type Open, type Raft, type RaftMessage, tell } from "./raft-state.ts";
import type { Answer, Ask, Token } from "./types.ts";

type Of<Kind> = Extract<RaftMessage, { kind: Kind }>;

const proofsAtMost = 32;

/** Takes a request; it is answered once, or given up when its time is over. */
export function ask(raft: Raft, wanted: Ask, timeoutMs: number, done: Open["done"]): void {
  const open: Open = {
    ask: wanted,
    done,
    deadline: null,
    isSent: false,
    index: null,
    triedMs: Number.NEGATIVE_INFINITY,
    triedTerm: -1,
  };
  const { cells } = raft.machine;
  if (wanted.write && cells.size >= raft.env.settings.keysAtMost && !cells.has(wanted.key)) {
    const reason = `The store has ${cells.size} keys, deleted ones included; it takes no more.`;
    done({ ...refusal("refused", reason, wanted.token), isRequests: true });
    return;
  }
  raft.opens.set(wanted.id, open);
  open.deadline = later(raft, timeoutMs, () => giveUp(raft, open));
  attempt(raft, open);
}

/** Looks again at every request that waits for what the replica has just learned. */
export function lookAgain(raft: Raft): void {
  for (const { askedMs, seq } of raft.proofs) {
    if (seq <= raft.applied) raft.provenMs = Math.max(raft.provenMs, askedMs);
  }
  if (raft.proofs.length > 0) {
    raft.proofs = raft.proofs.filter(({ seq }) => seq > raft.applied).slice(-proofsAtMost);
  }
  for (const open of raft.opens.values()) {
    if (!open.ask.write || !open.isSent) attempt(raft, open);
  }
}

/**
 * Asks the leader now and then: for what was lost on its way, and for a proof of how fresh the
 * replica is. What the leader had committed when it was asked holds all that was acknowledged
 * before.
 */
export function keepAsking(raft: Raft): void {
  const { heartbeatMs } = raft.env.settings;
  later(raft, heartbeatMs, () => keepAsking(raft));
  const now = raft.env.nowMs();
  askIndex(raft, null);
  for (const open of raft.opens.values()) {
    if (now - open.triedMs >= heartbeatMs * 2) attempt(raft, open);
  }
}

function attempt(raft: Raft, open: Open): void {
  const { write, level } = open.ask;
  if (write) return sendWrite(raft, open);
  if (mayRead(raft, open)) return answerRead(raft, open);
  const asksLeader = level === "strong" || level === "bounded";
  if (!asksLeader || open.index !== null) return;
  const now = raft.env.nowMs();
  const wasAsked =
    open.triedTerm === raft.term && now - open.triedMs < raft.env.settings.heartbeatMs;
  if (wasAsked) return;
  open.triedMs = now;
  open.triedTerm = raft.term;
  askIndex(raft, open.ask.id);
}

function sendWrite(raft: Raft, open: Open): void {
  const { write, id } = open.ask;
  // Its own log has it already.
  if (raft.role === "leader" && open.isSent && open.triedTerm === raft.term) return;
  if (raft.leader === null) return;
  open.isSent = true;
  open.triedMs = raft.env.nowMs();
  open.triedTerm = raft.term;
  if (raft.role !== "leader") return tell(raft, raft.leader, { kind: "write", write: write! });
  propose(raft, write, { from: raft.id, id });
  broadcast(raft);
}

/** Asks what is committed; a request without an id waits for the leader's next round. */
function askIndex(raft: Raft, id: string | null): void {
  const askedMs = raft.env.nowMs();
  if (raft.role !== "leader") {
    if (raft.leader !== null) tell(raft, raft.leader, { kind: "index", id, askedMs });
    return;
  }
  raft.reads.push({ round: raft.round + 1, from: raft.id, id, askedMs });
  if (id !== null) broadcast(raft);
  confirmReads(raft);
}

/** Whether what is applied here is new enough for what was asked. */
export function mayRead(
  raft: Raft,
  { ask: { level, token }, index }: Pick<Open, "ask" | "index">,
): boolean {
  const { protocol, settings, nowMs } = raft.env;
  if (level === "eventual") return true;
  if (level === "session") {
    return token === null || protocol.meetsToken(appliedOf(raft), token.version);
  }
  if (level === "strong") return index !== null && raft.applied >= index;
  const { maxStalenessMs, maxStalenessVersions } = settings;
  const behind = index === null ? Number.POSITIVE_INFINITY : Math.max(0, index - raft.applied);
  const isNear = maxStalenessVersions === null || protocol.isNear(behind, maxStalenessVersions);
  const age = nowMs() - raft.provenMs;
  return isNear && (maxStalenessMs === null || protocol.isFresh(age, maxStalenessMs));
}

function tokenOf(raft: Raft, { token }: Ask, seen = appliedOf(raft)): Token {
  return { version: newerOf(seen, token?.version ?? noVersion), vector: null };
}

function answerRead(raft: Raft, open: Open): void {
  const { level, key } = open.ask;
  const cell = raft.machine.cells.get(key);
  const isStrong = level === "strong";
  const age = raft.env.nowMs() - raft.provenMs;
  settle(raft, open, {
    status: "ok",
    reason: null,
    isRequests: false,
    value: cell?.value ?? null,
    version: cell?.version ?? null,
    acknowledgements: 0,
    stalenessMs: isStrong ? 0 : Number.isFinite(age) ? age : null,
    stalenessVersions: open.index === null ? null : Math.max(0, open.index - raft.applied),
    token: tokenOf(raft, open.ask),
  });
}

function settle(raft: Raft, open: Open, answer: Answer): void {
  raft.opens.delete(open.ask.id);
  if (open.deadline) open.deadline.isOff = true;
  open.done(answer);
}

function giveUp(raft: Raft, open: Open): void {
  const { write, token, level } = open.ask;
  const end = write && open.isSent ? raft.env.protocol.endOfUnheard() : "refused";
  const who = `Replica n${raft.id + 1}`;
  if (end === "ok") {
    const answer = refusal("refused", "", token);
    return settle(raft, open, { ...answer, status: "ok", reason: null, value: write!.value });
  }
  const reasons = {
    unknown: `${who} has no word of the write in time; it may yet take effect.`,
    refused: write
      ? `${who} found no leader in time; nothing was written.`
      : `${who} could not show in time that it is new enough for a ${level} read.`,
  };
  settle(raft, open, refusal(end, reasons[end], token));
}

/** Proposes what another replica was asked to write. */
export function onWrite(raft: Raft, from: number, { write }: Of<"write">): void {
  if (raft.role !== "leader") {
    tell(raft, from, { kind: "wrote", id: write.id, end: { status: "elsewhere" } });
    return;
  }
  propose(raft, write, { from, id: write.id });
  broadcast(raft);
}

/** Hears how a write ended; one that did not may be sent again, since its id is recognized. */
export function onWrote(raft: Raft, _from: number, { id, end }: Of<"wrote">): void {
  const open = raft.opens.get(id);
  if (!open || !("version" in end)) return;
  const isOk = end.status === "ok";
  settle(raft, open, {
    status: end.status,
    reason: isOk ? null : "The key holds another version than the expected one.",
    isRequests: !isOk,
    value: isOk ? open.ask.write!.value : (end.found?.value ?? null),
    version: isOk ? end.version : (end.found?.version ?? null),
    acknowledgements: end.acknowledgements,
    stalenessMs: 0,
    stalenessVersions: 0,
    token: tokenOf(raft, open.ask, isOk ? end.version : noVersion),
  });
}

/** Takes a question for what is committed; only a confirmed leader answers it. */
export function onIndex(raft: Raft, from: number, { id, askedMs }: Of<"index">): void {
  if (raft.role !== "leader") {
    tell(raft, from, { kind: "indexed", id, askedMs, seq: null });
    return;
  }
  raft.reads.push({ round: raft.round + 1, from, id, askedMs });
  if (id !== null) broadcast(raft);
  confirmReads(raft);
}

/** Hears what was committed: a read may need it, and it proves how fresh the replica is. */
export function onIndexed(raft: Raft, _from: number, message: Of<"indexed">): void {
  const { id, askedMs, seq } = message;
  if (seq === null) return;
  raft.proofs.push({ askedMs, seq });
  const open = id === null ? undefined : raft.opens.get(id);
  if (open) open.index = Math.max(seq, open.index ?? 0);
  lookAgain(raft);
}
