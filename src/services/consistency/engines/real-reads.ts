import { isNewer } from "../engine/protocol.ts";
import type { Version } from "../rules/history.ts";
import { admittedFirst, type Real, refusal, tokenAfter } from "./real-answers.ts";
import type { Found } from "./real-backend.ts";
import { lagOf } from "./real-freshness.ts";
import type { EngineAnswer, EngineAsk } from "./types.ts";

const firstPauseMs = 2;
const pauseAtMostMs = 40;
/** With less time than this a node that is well would seem not to answer. */
const askAtLeastMs = 50;
/** A replica that lags only as replicas do catches up within this. */
const boundWaitMs = 200;
/** How long an eventual read waits to hear how stale it is. */
const stalenessWaitMs = 100;

/** Why a node's answer can't be given; whether it may be possible a little later. */
interface Unfit {
  readonly reason: string;
  readonly isPassing: boolean;
}

/**
 * A bounded, session or eventual read. It asks the replica that was named, or else one after the
 * other until an answer keeps what was asked for; what keeps it nowhere is refused.
 */
export async function readWeakly(
  real: Real,
  ask: EngineAsk,
  deadlineMs: number,
): Promise<EngineAnswer> {
  const { nowMs } = real;
  const nodes = ask.replica === null ? candidates(real) : [ask.replica];
  let last = refusal(ask, null, "There is no replica to read from.");
  for (const [at, node] of nodes.entries()) {
    const startedMs = nowMs();
    const untilMs = startedMs + (deadlineMs - startedMs) / (nodes.length - at);
    last = await readAt(real, ask, node, untilMs);
    if (last.status === "ok" || real.closing.aborted) return last;
  }
  return last;
}

function candidates({ backend, guard }: Real): string[] {
  const near = admittedFirst(guard, backend.anywhere());
  return [...near, ...backend.newest().filter((node) => !near.includes(node))];
}

async function readAt(
  real: Real,
  ask: EngineAsk,
  node: string,
  untilMs: number,
): Promise<EngineAnswer> {
  const { guard, backend, clock, nowMs, closing } = real;
  const isBounded = ask.level === "bounded";
  const giveUpMs = isBounded ? Math.min(untilMs, nowMs() + boundWaitMs) : untilMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, pauseAtMostMs)) {
    const startedMs = nowMs();
    const newest = ask.level === "session" ? null : askPosition(real, ask, node, untilMs);
    const read = (signal: AbortSignal) =>
      backend.readHere(node, ask.key, ask.token?.version ?? null, signal);
    const tried = await guard.call(node, real.callName(ask), untilMs, read);
    if (!tried.isOk) {
      backend.onTrouble(node, tried.error, startedMs);
      return refusal(ask, node, `${tried.why}.`);
    }
    const position = await inWait(real, newest, isBounded ? untilMs : nowMs() + stalenessWaitMs);
    const answer = judge(real, ask, node, tried.result, position);
    if (!("isPassing" in answer)) return answer;
    if (!answer.isPassing || nowMs() + pauseMs + askAtLeastMs >= giveUpMs || closing.aborted) {
      return refusal(ask, node, answer.reason);
    }
    await clock.sleep(pauseMs);
  }
}

/** How far the store had got after this call; null where nobody could say in time. */
async function askPosition(
  { backend, guard, freshness, nowMs, callName }: Real,
  ask: EngineAsk,
  reader: string,
  untilMs: number,
): Promise<Version | null> {
  // Where another can be asked the reader is spared: its reads are well where it confirms nothing.
  const all = backend.newest();
  const others = all.length > 1 ? all.filter((one) => one !== reader) : all;
  const node = others.find((one) => guard.admits(one));
  if (node === undefined) return null;
  const askedMs = nowMs();
  const tried = await guard.call(node, callName(ask), untilMs, (signal) =>
    backend.position(node, signal),
  );
  if (!tried.isOk) {
    backend.onTrouble(node, tried.error, askedMs);
    return null;
  }
  freshness.note(askedMs, tried.result);
  return tried.result;
}

async function inWait(
  { clock, nowMs }: Real,
  position: Promise<Version | null> | null,
  untilMs: number,
): Promise<Version | null> {
  if (position === null) return null;
  const done = new AbortController();
  const late = clock.sleep(Math.max(0, untilMs - nowMs()), done.signal).then(() => null);
  // Where the position comes first nobody waits for the sleep any more.
  late.catch(() => {});
  try {
    return await Promise.race([position, late]);
  } finally {
    done.abort();
  }
}

function judge(
  { spec, freshness, nowMs }: Real,
  ask: EngineAsk,
  node: string,
  { position, value, version, isLost }: Found,
  newest: Version | null,
): EngineAnswer | Unfit {
  const stalenessMs = freshness.stalenessMs(position, nowMs());
  const stalenessVersions = lagOf(position, newest);
  if (ask.level === "session" && ask.token) {
    const unfit = unfitForSession(node, position, ask.token.version, isLost);
    if (unfit) return unfit;
  }
  if (ask.level === "bounded") {
    const { maxStalenessMs: ms, maxStalenessVersions: versions } = spec;
    const unfit =
      ms === null && versions === null
        ? { reason: "The store sets no bound on staleness.", isPassing: false }
        : (overBound(node, stalenessMs, ms, "ms") ??
          overBound(node, stalenessVersions, versions, "versions"));
    if (unfit) return unfit;
  }
  return {
    status: "ok",
    reason: null,
    value,
    version,
    replica: node,
    acknowledgements: 0,
    achieved: ask.level,
    stalenessMs,
    stalenessVersions,
    token: tokenAfter(ask, version),
  };
}

const textOf = ({ term, seq }: Version): string => `${term}.${seq}`;

function unfitForSession(
  node: string,
  position: Version,
  token: Version,
  isLost: boolean,
): Unfit | null {
  if (isLost) {
    const reason =
      `What this session has seen, up to ${textOf(token)}, was lost in a failover; ` +
      "begin a session without its token.";
    return { reason, isPassing: false };
  }
  if (!isNewer(token, position)) return null;
  const reason =
    `${node} is at ${textOf(position)} and the session has seen ${textOf(token)}; ` +
    "ask again later, or another replica.";
  return { reason, isPassing: true };
}

function overBound(
  node: string,
  staleness: number | null,
  bound: number | null,
  unit: "ms" | "versions",
): Unfit | null {
  if (bound === null || (staleness !== null && staleness <= bound)) return null;
  const how =
    staleness === null ? "nobody can say how far" : `up to ${Math.ceil(staleness)} ${unit}`;
  const reason = `${node} may lag, ${how}; the store allows ${bound} ${unit}.`;
  return { reason, isPassing: true };
}
