import type { Clock } from "../clock.ts";
import { createFairQueue } from "./fair-queue.ts";
import { type Answer, Flight, type Link } from "./flight.ts";
import { flyTogether } from "./flight-group.ts";
import type { Habits } from "./habits.ts";
import type { Links } from "./links.ts";
import type { LoopTicks } from "./loop-ticks.ts";
import { ConnectionError } from "./pg-errors.ts";
import { type Query, statementsOf } from "./query-flight.ts";

export interface SharedReadsOptions {
  readonly links: Links;
  readonly ticks: LoopTicks;
  readonly clock: Clock;
  /** How long a read may wait for its flight, by ticks: not while this process is what is late. */
  readonly waitMs: number;
  /** Told how long each read took. */
  readonly habits: Pick<Habits, "learn">;
}

/** Quick reads of many callers over few connections. */
export interface SharedReads {
  /** Rejects as a flight of its own would. */
  run(query: Query): Promise<Answer>;
  /** Sends what waits, if it may go by now. */
  pump(): void;
  readonly waiting: number;
}

const WAITING_MAX = 1_000;
const WAITING_PER_TENANT_MAX = 250;
/** Flights in one write: all but the first wait for another's statement, so not many. */
const GROUP_FLIGHTS_MAX = 16;
/** Groups that make others wait and grow; more than these don't help one event loop. */
const YOUNG_GROUPS_MAX = 1;
/** A group that is older makes nobody wait: where reads take longer, more connections are used. */
const YOUNG_TICKS = 2;

interface Waiter {
  readonly query: Query;
  /** The how-many-eth read it is. */
  readonly place: number;
  readonly sinceTick: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** A connection that carries group after group while there is something to carry. */
interface Shuttle {
  /** When its group took off; infinite while it waits for a connection. */
  sinceTick: number;
}

/**
 * Gathers the reads that arrive while others are in the air and sends them together, since the
 * writes to sockets cost this process more than all else of a read. Where nothing is in the air, a
 * read goes at once. Each read is an implicit transaction of its own, with its own Sync.
 */
export function createSharedReads(options: SharedReadsOptions): SharedReads {
  const { links, ticks, waitMs } = options;
  const queue = createFairQueue<Waiter>({
    itemsMax: WAITING_MAX,
    itemsPerKeyMax: WAITING_PER_TENANT_MAX,
  });
  const shuttles = new Set<Shuttle>();
  let asked = 0;

  function pump(): void {
    if (queue.size === 0) return;
    let young = 0;
    for (const { sinceTick } of shuttles) if (ticks.count - sinceTick < YOUNG_TICKS) young += 1;
    if (young < YOUNG_GROUPS_MAX) void carry();
  }

  async function carry(): Promise<void> {
    const shuttle: Shuttle = { sinceTick: Number.POSITIVE_INFINITY };
    shuttles.add(shuttle);
    ticks.watch();
    const askedBefore = asked;
    let link: Link | null = null;
    try {
      link = await links.acquire("");
      for (let group = nextGroup(); group.length > 0; group = nextGroup()) {
        shuttle.sinceTick = ticks.count;
        await flyGroup(options, link, group);
        // Whoever waits for a connection of its own is not passed by for ever.
        if (link.broken || links.stats().waiting > 0) break;
      }
    } catch (error) {
      for (const waiter of nextGroup()) {
        // Whoever came after the failing began has not had a try.
        const isLater = waiter.place > askedBefore;
        if (!isLater || !queue.add(waiter.query.tenantId, waiter)) waiter.reject(error as Error);
      }
    } finally {
      shuttles.delete(shuttle);
      ticks.unwatch();
      if (link) links.release(link);
      pump();
    }
  }

  /** Those that fly next, one of each tenant in turn. */
  function nextGroup(): Waiter[] {
    const group: Waiter[] = [];
    while (group.length < GROUP_FLIGHTS_MAX) {
      const waiter = queue.take();
      if (!waiter) break;
      if (ticks.count - waiter.sinceTick <= waitMs) group.push(waiter);
      else waiter.reject(new ConnectionError(`No database connection came free in ${waitMs} ms`));
    }
    return group;
  }

  return {
    run: (query) =>
      new Promise((resolve, reject) => {
        asked += 1;
        const waiter = { query, place: asked, sinceTick: ticks.count, resolve, reject };
        if (queue.add(query.tenantId, waiter)) return pump();
        reject(new ConnectionError(`No database connection: ${queue.size} wait for one already`));
      }),
    pump,
    get waiting() {
      return queue.size;
    },
  };
}

/** Resolves when all of them have landed, however. */
async function flyGroup(
  { links, ticks, clock, habits }: SharedReadsOptions,
  link: Link,
  group: readonly Waiter[],
): Promise<void> {
  const texts = new Map<Flight, string>();
  const landed: Promise<void>[] = [];
  for (const { query, resolve, reject } of group) {
    try {
      const flight = new Flight(link, statementsOf(query), clock.monotonicMs());
      texts.set(flight, query.text);
      const land = links.land(link, flight);
      landed.push(land.then(([answer]) => resolve(answer as Answer), reject));
    } catch (error) {
      reject(error as Error);
    }
  }
  let active: Flight | null = null;
  let sinceTick = 0;
  const onActive = (next: Flight | null) => {
    if (active) habits.learn(texts.get(active) as string, ticks.count - sinceTick);
    active = next;
    sinceTick = ticks.count;
    if (next) next.startedMs = clock.monotonicMs();
  };
  if (texts.size > 0) flyTogether(link, [...texts.keys()], onActive);
  await Promise.all(landed);
}
