import type { BreakerEvent } from "../rules/history.ts";

/** What breakers did, as the checker of traces takes it. */
export interface BreakerTrace {
  add(event: BreakerEvent): void;
  list(): BreakerEvent[];
}

/**
 * Keeps the newest `atMost` events, and a quarter of that beyond for a while. Of each breaker whose
 * events were dropped the state is kept that they led to, with which its trace then begins.
 */
export function createBreakerTrace(atMost: number): BreakerTrace {
  const heads = new Map<string, BreakerEvent>();
  let events: BreakerEvent[] = [];
  const forget = ({ breaker, at, event, epoch, state = "closed" }: BreakerEvent) => {
    if (event === "transition") {
      heads.set(breaker, { breaker, at, event, epoch, state, begins: true });
    } else if (!heads.has(breaker)) {
      const first = { event: "transition", epoch: 0, state: "closed", begins: true } as const;
      heads.set(breaker, { breaker, at, ...first });
    }
  };
  const shorten = (length: number) => {
    for (const event of events.slice(0, events.length - length)) forget(event);
    events = events.slice(events.length - length);
  };
  return {
    add(event) {
      events.push(event);
      if (events.length > atMost * 1.25) shorten(atMost);
    },
    list() {
      if (events.length + heads.size > atMost) shorten(Math.max(0, atMost - heads.size));
      return [...heads.values(), ...events];
    },
  };
}
