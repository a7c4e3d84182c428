import { type Clock, isoOf } from "../clock.ts";
import type { Random } from "../random.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { createPolicy, type Entry } from "./policy.ts";
import { createInstruments } from "./policy-metrics.ts";
import {
  type BreakerStatus,
  dependencyErrors,
  type Policy,
  type PolicyOptions,
} from "./policy-types.ts";

/** One composed policy per dependency name, shared by everyone who asks for the name. */
export interface Policies {
  /** The first caller's options hold; asking again with others throws. */
  for(name: string, options: PolicyOptions): Policy;
  list(): BreakerStatus[];
  /** Whether there is such a policy, with a breaker. */
  hasBreaker(name: string): boolean;
  /** Holds the breaker open until `reset`, also one that is made later under that name. */
  isolate(name: string): void;
  /** Closes the breaker and forgets its failures. */
  reset(name: string): void;
}

export interface PoliciesOptions {
  clock: Clock;
  random: Random;
  log: Logger;
  metrics: Metrics;
  /** 1,000 by default: members of groups; beyond, those asked for longest ago are forgotten. */
  maxInGroups?: number;
}

/** What two callers have to agree about; functions can't be compared. */
function agreement({ isFailure: _, ...plain }: PolicyOptions): string {
  return JSON.stringify(Object.entries(plain).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function rests({ bulkhead }: Entry): boolean {
  return bulkhead.active === 0 && bulkhead.waiting === 0;
}

function statusOf({ name, group, bulkhead, breaker, counts }: Entry): BreakerStatus {
  const changedAtMs = breaker?.changedAtMs ?? null;
  return {
    name,
    group,
    state: breaker?.state ?? "CLOSED",
    active: bulkhead.active,
    waiting: bulkhead.waiting,
    ...counts,
    changedAt: changedAtMs === null ? null : isoOf(changedAtMs),
  };
}

/**
 * From the outside in: bulkhead, retries, breaker, timeout. So a call holds its place while it
 * waits to be repeated, each attempt counts for the breaker, and each has its own time. Breaker and
 * timeout are cockatiel's.
 */
export function createPolicies(options: PoliciesOptions): Policies {
  const { maxInGroups = 1_000 } = options;
  const named = new Map<string, Entry>();
  /** The one asked for longest ago comes first. */
  const grouped = new Map<string, Entry>();
  const agreed = new WeakMap<Entry, string>();
  const held = new Set<string>();
  const all = () => [...named.values(), ...grouped.values()];
  const find = (name: string) => named.get(name) ?? grouped.get(name);
  const instruments = createInstruments(options.metrics, () =>
    [...grouped.values()].map((entry) => {
      const { group, state } = statusOf(entry);
      return { group: group as string, state };
    }),
  );

  /** Open breakers may go as well: a thousand dead hosts must not stand in a good one's way. */
  const makeRoom = () => {
    if (grouped.size < maxInGroups) return;
    const resting = [...grouped.values()].filter(rests);
    const victim =
      resting.find(({ breaker }) => !breaker || breaker.state === "CLOSED") ??
      resting.find(({ breaker }) => breaker?.state !== "ISOLATED");
    if (!victim) throw dependencyErrors.overloaded({ detail: "Too many dependencies at once." });
    grouped.delete(victim.name);
  };

  return {
    for(name, policyOptions) {
      const existing = find(name);
      if (existing && agreed.get(existing) !== agreement(policyOptions)) {
        throw new Error(`The policy ${name} exists with other options`);
      }
      const isGrouped = policyOptions.group !== undefined;
      if (!existing && isGrouped) makeRoom();
      const entry = existing ?? createPolicy(name, policyOptions, options, instruments);
      if (!existing) {
        agreed.set(entry, agreement(policyOptions));
        if (held.has(name)) entry.breaker?.isolate();
      }
      if (isGrouped) grouped.delete(name);
      (isGrouped ? grouped : named).set(name, entry);
      return entry;
    },
    list: () =>
      all()
        .map(statusOf)
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    hasBreaker: (name) => Boolean(find(name)?.breaker),
    isolate(name) {
      held.add(name);
      find(name)?.breaker?.isolate();
    },
    reset(name) {
      held.delete(name);
      find(name)?.breaker?.reset();
    },
  };
}
