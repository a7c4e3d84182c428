import { type Accepted, type ApDurable, countOf, entriesFrom } from "./ap-log.ts";
import {
  type Ap,
  type ApMessage,
  type ApOpen,
  applyKnown,
  foldKnown,
  laterAp,
  loadAp,
  nextVersion,
  seeClock,
} from "./ap-state.ts";
import type { Version } from "../rules/history.ts";
import type { Disk } from "./disk.ts";
import { type Member, newerOf, noVersion, refusal } from "./member.ts";
import type { Answer, Ask, Env, Token, Write } from "./types.ts";

const entriesAtOnce = 1_024;
const proofsAtMost = 64;
/** Writes are folded so many at a time, as a share of what a log may hold. */
const foldShare = 0.01;

/**
 * A replica of an AP store: it accepts writes by itself, the newest hybrid version of a key
 * stays, and replicas exchange what they lack (anti-entropy; Terry et al., "Bayou", SOSP 1995).
 * It can't give `strong`, and no cas: both would take a majority.
 */
export function createApMember(
  env: Env<ApMessage>,
  id: number,
  disk: Disk<ApDurable>,
): Member<ApMessage> {
  const ap = { env, id, disk, life: 0 } as Ap;
  const begin = () => {
    loadAp(ap);
    exchange(ap);
  };
  begin();
  return {
    ask: (wanted, done) => askAp(ap, wanted, done),
    mayRead: (wanted) => mayRead(ap, wanted),
    receive(from, message) {
      if (!ap.isUp) return;
      if (message.kind === "digest") onDigest(ap, from, message);
      else onEntries(ap, from, message);
    },
    crash() {
      ap.isUp = false;
      disk.crash();
    },
    restart: begin,
    status: () => ({
      isUp: ap.isUp,
      role: "peer",
      term: ap.newest.term,
      leader: null,
      applied: ap.newest,
      held: ap.vector.reduce((sum, count) => sum + count, 0),
      stalenessMs: stalenessMs(ap),
      logEntries: ap.logs.reduce((sum, { entries }) => sum + entries.length, 0),
      vector: [...ap.stored],
    }),
    cellOf: (key) => ap.cells.get(key) ?? null,
    versionOf: (write) => versionOf(ap, write),
  };
}

function versionOf({ logs, disk }: Ap, write: string): Version | null {
  const { image } = disk;
  for (const { entries } of [...logs, ...image.logs]) {
    const entry = entries.find(({ id }) => id === write);
    if (entry) return entry.version;
  }
  return image.folded.get(write) ?? null;
}

/** Asks every other replica for what it has and this one lacks, again and again. */
function exchange(ap: Ap): void {
  const { settings, nowMs } = ap.env;
  laterAp(ap, settings.heartbeatMs, () => exchange(ap));
  ap.logs.forEach((_, peer) => {
    if (peer !== ap.id)
      ap.env.send(ap.id, peer, { kind: "digest", has: [...ap.stored], askedMs: nowMs() });
  });
}

function onDigest(ap: Ap, from: number, { has, askedMs }: Extract<ApMessage, { kind: "digest" }>) {
  const entries: Accepted[] = [];
  ap.logs.forEach((log, origin) => {
    const end = Math.min(ap.stored[origin]!, has[origin]! + entriesAtOnce);
    entries.push(...entriesFrom(log, has[origin]!, end));
    ap.known[from]![origin] = Math.max(ap.known[from]![origin]!, has[origin]!);
  });
  foldKnown(ap, Math.max(1, ap.env.settings.logEntriesAtMost * foldShare));
  ap.env.send(ap.id, from, { kind: "entries", entries, count: ap.stored[ap.id]!, askedMs });
}

/** Takes what follows what is known of each origin; the rest comes again. */
function onEntries(ap: Ap, from: number, message: Extract<ApMessage, { kind: "entries" }>): void {
  for (const entry of message.entries) {
    if (entry.origin === ap.id || entry.count !== countOf(ap.logs[entry.origin]!) + 1) continue;
    keep(ap, entry, () => {});
  }
  if (message.askedMs === null) return;
  ap.proofs.push({ peer: from, askedMs: message.askedMs, count: message.count });
  lookAgain(ap);
}

/** Writes an entry down; it counts, and is passed on, once it is on the disk. */
function keep(ap: Ap, entry: Accepted, then: () => void): void {
  const { origin, count } = entry;
  const { life } = ap;
  ap.logs[origin]!.entries.push(entry);
  const synced = () => {
    ap.stored[origin] = count;
    applyKnown(ap);
    then();
    lookAgain(ap);
  };
  const isPatient = ap.env.protocol.syncsFirst();
  ap.disk.write(
    (image) => void image.logs[origin]!.entries.push(entry),
    () => {
      if (isPatient && ap.isUp && ap.life === life) synced();
    },
  );
  if (!isPatient) synced();
}

function askAp(ap: Ap, wanted: Ask, done: ApOpen["done"]): void {
  const { settings } = ap.env;
  const problem = problemOf(ap, wanted);
  if (problem) return done({ ...refusal("refused", problem, wanted.token), isRequests: true });
  const open: ApOpen = { ask: wanted, done, deadline: null };
  ap.opens.set(wanted.id, open);
  open.deadline = laterAp(ap, wanted.withinMs ?? settings.operationTimeoutMs, () => {
    const end = wanted.write ? ap.env.protocol.endOfUnheard() : "refused";
    const reason = wanted.write
      ? `Replica n${ap.id + 1}'s disk did not confirm the write in time; it may yet take effect.`
      : `Replica n${ap.id + 1} could not show in time it is new enough for a ${wanted.level} read.`;
    const answer = refusal(end === "ok" ? "unknown" : end, reason, wanted.token);
    settle(ap, open, end === "ok" ? { ...answer, status: "ok" } : answer);
  });
  if (wanted.write) accept(ap, open, wanted.write);
  else if (mayRead(ap, wanted)) answerRead(ap, open);
}

function problemOf(ap: Ap, { level, write, key }: Ask): string | null {
  const { keysAtMost, logEntriesAtMost } = ap.env.settings;
  if (level === "strong") return "An AP store can't give strong: it answers without a majority.";
  if (write?.op === "cas") return "An AP store can't compare and set: that takes a majority.";
  if (!write) return null;
  if (ap.cells.size >= keysAtMost && !ap.cells.has(key)) {
    return `The store has ${ap.cells.size} keys, deleted ones included; it takes no more.`;
  }
  if (ap.logs[ap.id]!.entries.length < logEntriesAtMost) return null;
  return (
    `Replica n${ap.id + 1} holds ${logEntriesAtMost} writes that another has not got yet; ` +
    "it takes no more until they reach each other."
  );
}

function accept(ap: Ap, open: ApOpen, { op, key, value, id }: Write): void {
  const { token } = open.ask;
  if (token) seeClock(ap, token.version);
  const version = nextVersion(ap);
  const causes = ap.vector.map((count, origin) => Math.max(count, token?.vector?.[origin] ?? 0));
  const count = countOf(ap.logs[ap.id]!) + 1;
  // Its own earlier writes come before it anyhow.
  causes[ap.id] = count - 1;
  const written = op === "delete" ? null : value;
  const entry = { id, origin: ap.id, count, key, value: written, version, causes };
  keep(ap, entry, () => {
    settle(ap, open, {
      status: "ok",
      reason: null,
      isRequests: false,
      value: entry.value,
      version,
      acknowledgements: 1,
      stalenessMs: null,
      stalenessVersions: null,
      token: tokenWith(token, version, causes.with(ap.id, count)),
    });
    for (let peer = 0; peer < ap.logs.length; peer += 1) {
      if (peer === ap.id) continue;
      ap.env.send(ap.id, peer, { kind: "entries", entries: [entry], count, askedMs: null });
    }
  });
}

function tokenWith(token: Token | null, version: Token["version"], vector: number[]): Token {
  return {
    version: newerOf(version, token?.version ?? noVersion),
    vector: vector.map((count, origin) => Math.max(count, token?.vector?.[origin] ?? 0)),
  };
}

/**
 * Since when it has heard nothing from the replica of which it has heard least; null when never.
 */
function stalenessMs(ap: Ap): number | null {
  const now = ap.env.nowMs();
  if (ap.vector[ap.id] === ap.stored[ap.id]) ap.provenMs[ap.id] = now;
  const age = now - Math.min(...ap.provenMs);
  return Number.isFinite(age) ? age : null;
}

/**
 * A session needs what its token names; a bounded read a proof of each replica that everything
 * which that had acknowledged at most so long ago is here. No proof counts versions: with such a
 * bound, only what was proven in this very moment would do.
 */
function mayRead(ap: Ap, { level, token }: Ask): boolean {
  const { protocol, settings } = ap.env;
  if (level === "session") {
    return token === null || protocol.meetsVector(ap.vector, token.vector ?? []);
  }
  if (level !== "bounded") return true;
  if (settings.maxStalenessVersions !== null) return false;
  const age = stalenessMs(ap) ?? Number.POSITIVE_INFINITY;
  return settings.maxStalenessMs === null || protocol.isFresh(age, settings.maxStalenessMs);
}

function lookAgain(ap: Ap): void {
  const isHere = ({ peer, count }: Ap["proofs"][number]) => ap.vector[peer]! >= count;
  for (const proof of ap.proofs) {
    if (!isHere(proof)) continue;
    ap.provenMs[proof.peer] = Math.max(ap.provenMs[proof.peer]!, proof.askedMs);
  }
  ap.proofs = ap.proofs.filter((proof) => !isHere(proof)).slice(-proofsAtMost);
  for (const open of ap.opens.values()) {
    if (!open.ask.write && mayRead(ap, open.ask)) answerRead(ap, open);
  }
}

function answerRead(ap: Ap, open: ApOpen): void {
  const cell = ap.cells.get(open.ask.key);
  settle(ap, open, {
    status: "ok",
    reason: null,
    isRequests: false,
    value: cell?.value ?? null,
    version: cell?.version ?? null,
    acknowledgements: 0,
    stalenessMs: stalenessMs(ap),
    stalenessVersions: null,
    token: tokenWith(open.ask.token, ap.newest, ap.vector),
  });
}

function settle(ap: Ap, open: ApOpen, answer: Answer): void {
  ap.opens.delete(open.ask.id);
  if (open.deadline) open.deadline.isOff = true;
  open.done(answer);
}
