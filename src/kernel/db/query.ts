import type { Clock } from "../clock.ts";
import type { Answer, Link } from "./flight.ts";
import { createHabits } from "./habits.ts";
import type { Links } from "./links.ts";
import { createLoopTicks } from "./loop-ticks.ts";
import { isStalePlan } from "./pg-errors.ts";
import { type Query, statementsOf } from "./query-flight.ts";
import { createSharedReads } from "./shared-reads.ts";

/** Runs statements in flights of their own or together with other reads. */
export interface Queries {
  run(query: Query): Promise<Answer>;
  /** Reads that wait for a flight to share. */
  readonly waiting: number;
}

/**
 * What is behind `db.query`. Reads that are known to be quick share connections and socket writes
 * (`shared-reads.ts`); everything else has a connection of its own: what is no plain select, what
 * was not seen yet, and what has been slow lately, so that nobody waits behind it.
 */
export function createQueries(
  links: Links,
  { clock, waitMs }: { clock: Clock; waitMs: number },
): Queries {
  const habits = createHabits();
  const ticks = createLoopTicks(() => shared.pump());
  const shared = createSharedReads({ links, ticks, habits, clock, waitMs });

  async function alone(query: Query): Promise<Answer> {
    const link = await links.acquire(query.tenantId);
    const startTick = ticks.count;
    ticks.watch();
    try {
      const answer = await flyAlone(links, link, query);
      if (isSelect(query.text)) habits.learn(query.text, ticks.count - startTick);
      return answer;
    } finally {
      ticks.unwatch();
      links.release(link);
    }
  }

  return {
    async run(query) {
      if (!habits.mayShare(query.text)) return alone(query);
      try {
        return await shared.run(query);
      } catch (error) {
        if (!isStalePlan(error)) throw error;
        // The flight was rolled back as a whole, so running it again is safe whatever it does.
        return alone(query);
      }
    },
    get waiting() {
      return shared.waiting;
    },
  };
}

async function flyAlone(links: Links, link: Link, query: Query): Promise<Answer> {
  const statements = statementsOf(query);
  const answers = await links.land(link, links.send(link, statements)).catch((error) => {
    // Tables changed under the prepared statement, which is parsed anew. The flight was rolled
    // back as a whole, so running it again is safe whatever it does.
    if (isStalePlan(error)) return links.land(link, links.send(link, statements));
    throw error;
  });
  assertNoTransaction(link);
  return answers[0] as Answer;
}

/** A select can neither begin a transaction nor end one, nor begin to copy. */
function isSelect(text: string): boolean {
  return /^\s*select\b/i.test(text);
}

/** A "begin" as the statement would keep the tenant set on a connection that others get. */
function assertNoTransaction(link: Link): void {
  if (link.client.getTransactionStatus() === "I") return;
  link.broken ??= new Error("A statement began a transaction; use inTenant");
  throw link.broken;
}
