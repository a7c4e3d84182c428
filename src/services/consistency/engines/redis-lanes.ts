import { NotSent } from "./real-guard.ts";
import type { RedisLink } from "./redis-link.ts";

/**
 * Connections to a primary that one write at a time has to itself: WAIT holds up a connection, and
 * counts the copies of what was written on the same one.
 */
export interface Lanes {
  /** Waits for a free one; rejects with NotSent where too many wait already. */
  use<Result>(work: (link: RedisLink) => Promise<Result>): Promise<Result>;
  close(): void;
}

const lanesAtMost = 8;
const waitingAtMost = 1_000;

/** Opens lanes as they are needed. */
export function createLanes(open: () => RedisLink): Lanes {
  const all: RedisLink[] = [];
  const free: RedisLink[] = [];
  const waiting: PromiseWithResolvers<RedisLink>[] = [];
  let isClosed = false;

  function take(): Promise<RedisLink> | RedisLink {
    if (isClosed) throw new NotSent("the store is closed");
    // One that is connected, where there is one.
    const at = free.findLastIndex((link) => link.isReady());
    if (at >= 0) return free.splice(at, 1)[0]!;
    if (all.length < lanesAtMost) {
      const link = open();
      all.push(link);
      return link;
    }
    const tired = free.pop();
    if (tired) return tired;
    if (waiting.length >= waitingAtMost) throw new NotSent("too many writes wait for their turn");
    const turn = Promise.withResolvers<RedisLink>();
    waiting.push(turn);
    return turn.promise;
  }

  return {
    async use(work) {
      const link = await take();
      try {
        await link.attempted;
        return await work(link);
      } finally {
        const next = waiting.shift();
        if (next) next.resolve(link);
        else free.push(link);
      }
    },
    close() {
      isClosed = true;
      for (const link of all) link.close();
      for (const turn of waiting) turn.reject(new NotSent("the store is closed"));
      waiting.length = 0;
    },
  };
}
