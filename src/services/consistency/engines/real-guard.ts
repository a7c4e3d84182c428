import type { Clock } from "#kernel/clock.ts";
import {
  admit,
  type Breaker,
  type BreakerOptions,
  createBreaker,
  rejected,
  settleCall,
} from "../engine/breaker.ts";
import type { BreakerEvent } from "../rules/history.ts";
import type { ReplicaStatus } from "./types.ts";

/** It never left this process, so that it can't have taken effect. */
export class NotSent extends Error {}

/** The node answered that it won't; it took no effect. */
export class Refusal extends Error {
  /** Whether the node is well although it refuses. */
  readonly isWell: boolean;

  constructor(message: string, isWell: boolean) {
    super(message);
    this.isWell = isWell;
  }
}

/** Nothing came back in time; it may have taken effect, or may yet. */
export class Late extends Error {}

/** What became of a call to a node. */
export type Tried<Result> =
  | { readonly isOk: true; readonly result: Result }
  | {
      readonly isOk: false;
      /** False where it can't have taken effect. */
      readonly wasSent: boolean;
      readonly why: string;
      readonly error: Error;
    };

/** Calls to nodes: each behind its node's breaker, none longer than its deadline. */
export interface Guard {
  call<Result>(
    node: string,
    name: string,
    deadlineMs: number,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Tried<Result>>;
  /** Whether a call would be let through at this moment. */
  admits(node: string): boolean;
  events(): readonly BreakerEvent[];
  breakerOf(node: string): ReplicaStatus["breaker"];
}

/** The first of them are kept: a trace with a hole in it can't be checked. */
export const breakerEventsAtMost = 10_000;

interface GuardOptions {
  readonly clock: Clock;
  readonly nowMs: () => number;
  readonly breaker: BreakerOptions;
}

/** A breaker for each node. Their trace is cut off at its limit, never in its middle. */
export function createGuard(nodes: readonly string[], options: GuardOptions): Guard {
  const { clock, nowMs } = options;
  const events: BreakerEvent[] = [];
  const trace = (event: BreakerEvent) => {
    if (events.length < breakerEventsAtMost) events.push(event);
  };
  const breakers = new Map<string, Breaker>(
    nodes.map((node) => [node, createBreaker(node, options.breaker, trace)]),
  );

  return {
    async call(node, name, deadlineMs, work) {
      const breaker = breakers.get(node)!;
      const startedMs = nowMs();
      const epoch = admit(breaker, startedMs, name);
      if (epoch === rejected) return refused(`the breaker of ${node} is open`);
      const settle = (isOk: boolean) => {
        const endedMs = nowMs();
        settleCall(breaker, { epoch, call: name, isOk, tookMs: endedMs - startedMs }, endedMs);
      };
      try {
        const result = await inTime(clock, deadlineMs - startedMs, work);
        settle(true);
        return { isOk: true, result };
      } catch (error) {
        settle(error instanceof Refusal && error.isWell);
        return failed(node, error as Error);
      }
    },
    admits(node) {
      const { state, probing, options: set, sinceMs, openForMs } = breakers.get(node)!;
      if (state === "closed") return true;
      return state === "open" ? nowMs() - sinceMs >= openForMs : probing < set.probes;
    },
    events: () => events,
    breakerOf(node) {
      const { state, epoch, sinceMs, failures, rejected: refusals } = breakers.get(node)!;
      return { state, epoch, sinceMs, failures, rejected: refusals };
    },
  };
}

const refused = (why: string): Tried<never> => ({
  isOk: false,
  wasSent: false,
  why,
  error: new NotSent(why),
});

function failed(node: string, error: Error): Tried<never> {
  const wasSent = !(error instanceof NotSent || error instanceof Refusal);
  return { isOk: false, wasSent, why: `${node}: ${error.message}`, error };
}

/**
 * The work's result; rejects with `Late` after `limitMs`, whatever the work does then, whose signal
 * is aborted.
 */
export async function inTime<Result>(
  clock: Clock,
  limitMs: number,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  if (limitMs <= 0) throw new NotSent("no time was left to ask");
  const done = new AbortController();
  const late = clock.sleep(limitMs, done.signal).then(() => {
    throw new Late(`no answer in ${Math.round(limitMs)} ms`);
  });
  const working = work(done.signal);
  // Whichever of the two loses ends with nobody listening.
  late.catch(() => {});
  // The same for a work that ends after its time.
  working.catch(() => {});
  try {
    return await Promise.race([working, late]);
  } finally {
    done.abort();
  }
}
