import type { BreakerEvent, BreakerSettings, BreakerState } from "./history.ts";
import { durationText } from "./words.ts";

/** Where a breaker's trace breaks a rule. */
export interface BreakerFault {
  readonly breaker: string;
  /** The positions in the trace of what it takes to see it. */
  readonly at: readonly number[];
  readonly sentence: string;
}

interface Standing {
  state: BreakerState;
  epoch: number;
  sinceMs: number;
  since: number;
  failures: number;
  /** Calls of this epoch that have no result yet, by their names. */
  underWay: Map<string, number>;
  /** The last result, as a position in the trace. */
  lastResult: number;
}

const moves: Record<BreakerState, readonly BreakerState[]> = {
  closed: ["open"],
  open: ["half-open"],
  "half-open": ["closed", "open"],
};

/**
 * Holds the trace of breakers, in the order of time, to the rules of a breaker (Nygard, "Release
 * It!", 2007): only the moves closed → open → half-open → closed or open, each beginning the next
 * epoch; no call while open; at most `probes` calls under way while half-open; not half-open before
 * `openMs`; not open from closed before `failures` results of its own epoch failed, so that a late
 * result of an earlier epoch moves nothing. A breaker begins closed, in epoch 0, or with a
 * transition that `begins` its trace: of that epoch, what came before is not held against it. O(n).
 */
export function checkBreakers(
  events: readonly BreakerEvent[],
  settings: BreakerSettings,
): readonly BreakerFault[] {
  const standings = new Map<string, Standing>();
  const faults: BreakerFault[] = [];
  events.forEach((event, at) => {
    const known = standings.get(event.breaker);
    const standing = known ?? begin();
    standings.set(event.breaker, standing);
    if (known === undefined && event.begins) return takeUp(standing, event, at);
    const fault = faultOf(standing, event, at, settings);
    if (fault) {
      const sentence = `Breaker ${event.breaker} ${fault.sentence}`;
      faults.push({ breaker: event.breaker, at: [...new Set(fault.at)], sentence });
    }
    apply(standing, event, at);
  });
  return faults;
}

const begin = (): Standing => ({
  state: "closed",
  epoch: 0,
  sinceMs: Number.NEGATIVE_INFINITY,
  since: 0,
  failures: 0,
  underWay: new Map(),
  lastResult: -1,
});

function takeUp(standing: Standing, event: BreakerEvent, at: number): void {
  apply(standing, event, at);
  standing.failures = Number.POSITIVE_INFINITY;
  standing.lastResult = Number.POSITIVE_INFINITY;
}

type Fault = Pick<BreakerFault, "at" | "sentence"> | null;

function faultOf(
  standing: Standing,
  event: BreakerEvent,
  at: number,
  settings: BreakerSettings,
): Fault {
  if (event.event === "call") return faultOfCall(standing, event, at, settings);
  if (event.event === "transition") return faultOfMove(standing, event, at, settings);
  if (event.event === "reject" && standing.state === "closed") {
    return { at: [at], sentence: "refused a call while it was closed." };
  }
  return null;
}

function faultOfCall(
  { state, epoch, since, underWay }: Standing,
  event: BreakerEvent,
  at: number,
  { probes }: BreakerSettings,
): Fault {
  if (state === "open") {
    return {
      at: [since, at],
      sentence: `let call ${event.call ?? "?"} through while it was open.`,
    };
  }
  if (event.epoch !== epoch) {
    const sentence = `made call ${event.call ?? "?"} in epoch ${event.epoch}, its own is ${epoch}.`;
    return { at: [at], sentence };
  }
  if (state !== "half-open" || underWay.size < probes) return null;
  const sentence = `had ${underWay.size + 1} calls under way while half-open; ${probes} may be.`;
  return { at: [...underWay.values(), at], sentence };
}

function faultOfMove(
  standing: Standing,
  event: BreakerEvent,
  at: number,
  { openMs, failures }: BreakerSettings,
): Fault {
  const { state, epoch, since, sinceMs } = standing;
  const to = event.state ?? "closed";
  if (!moves[state].includes(to)) {
    return { at: [since, at], sentence: `went from ${state} to ${to}.` };
  }
  if (event.epoch !== epoch + 1) {
    return { at: [at], sentence: `went from epoch ${epoch} to epoch ${event.epoch}.` };
  }
  const waitedMs = event.at - sinceMs;
  if (to === "half-open" && waitedMs < openMs) {
    const sentence =
      `went half-open after ${durationText(waitedMs)}; ` +
      `it must stay open for ${durationText(openMs)}.`;
    return { at: [since, at], sentence };
  }
  if (state === "closed" && standing.failures < failures) {
    const sentence =
      `opened after ${standing.failures} failures of its epoch; ${failures} are needed, ` +
      "and those of earlier epochs don't count.";
    return { at: [since, at], sentence };
  }
  const needsResult = state === "half-open" && standing.lastResult < since;
  if (!needsResult) return null;
  return { at: [since, at], sentence: `went from half-open to ${to} without a probe's result.` };
}

function apply(standing: Standing, event: BreakerEvent, at: number): void {
  const isOfEpoch = event.epoch === standing.epoch;
  if (event.event === "transition") {
    standing.state = event.state ?? "closed";
    standing.epoch = event.epoch;
    standing.sinceMs = event.at;
    standing.since = at;
    standing.failures = 0;
    standing.underWay.clear();
  } else if (event.event === "call" && isOfEpoch) standing.underWay.set(event.call ?? `${at}`, at);
  else if (event.event === "result" && isOfEpoch) {
    standing.underWay.delete(event.call ?? "");
    standing.lastResult = at;
    if (event.outcome === "fail") standing.failures += 1;
  }
}
