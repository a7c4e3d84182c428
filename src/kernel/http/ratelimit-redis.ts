import { createClient, defineScript } from "redis";
import type { Clock } from "../clock.ts";
import type { Faults } from "../resilience/faults.ts";
import type { Policies } from "../resilience/policies.ts";
import type { Policy } from "../resilience/policy-types.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type Buckets, judge, type Limit, type Verdict } from "./ratelimit.ts";

const CONNECT_TIMEOUT_MS = 1_000;
/** An answer that takes longer than this is worth less than a local guess. */
const ANSWER_TIMEOUT_MS = 50;
/** How often a Redis that has failed is looked at; meanwhile nobody's request waits for it. */
const LOOK_EVERY_MS = 1_000;
const RECONNECT_DELAY_MAX_MS = 2_000;
const COMMANDS_WAITING_MAX = 10_000;

/**
 * The same bucket as `localBuckets`, in one round trip: the moment of fullness is the key's value,
 * Redis's own clock decides, and the key vanishes when the bucket is full.
 * KEYS: bucket. ARGV: microseconds a token takes, microseconds the burst takes.
 * Answers how many microseconds the bucket lacked before.
 */
const takeScript = defineScript({
  SCRIPT: `
    local time = redis.call('TIME')
    local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
    local token = tonumber(ARGV[1])
    local full = tonumber(redis.call('GET', KEYS[1]) or now)
    local missing = math.max(full - now, 0)
    if missing + token <= tonumber(ARGV[2]) + token / 1000 then
      local lasts = math.max(math.ceil((missing + token) / 1000), 1)
      redis.call('SET', KEYS[1], string.format('%.3f', now + missing + token), 'PX', lasts)
    end
    return math.floor(missing)`,
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key: string, tokenMicros: number, burstMicros: number) {
    parser.pushKey(key);
    parser.push(String(tokenMicros), String(burstMicros));
  },
  transformReply: (missingMicros: number): number => missingMicros,
});

export interface RedisBuckets extends Buckets {
  /** Whether Redis decides at the moment, or this process alone. */
  shared(): boolean;
  close(): void;
}

export interface RedisBucketsOptions {
  local: Buckets;
  clock: Clock;
  log: Logger;
  policies: Pick<Policies, "for">;
  faults?: Pick<Faults, "at">;
}

/**
 * Buckets that all processes share. A Redis that fails once, or takes longer than 50 ms, is left
 * alone: its breaker opens, and the process decides by buckets of its own, which makes limits per
 * process, never none. Nobody's request tries whether it is back; that is looked at beside them.
 */
export function redisBuckets(
  url: string,
  { local, clock, log, policies, faults }: RedisBucketsOptions,
): RedisBuckets {
  const client = createClient({
    url,
    scripts: { take: takeScript },
    disableOfflineQueue: true,
    commandsQueueMaxLength: COMMANDS_WAITING_MAX,
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectStrategy: (attempts) => Math.min(50 * 2 ** attempts, RECONNECT_DELAY_MAX_MS),
    },
  });
  const policy = policies.for("redis", {
    timeoutMs: ANSWER_TIMEOUT_MS,
    breaker: { consecutiveFailures: 1, halfOpenAfterMs: LOOK_EVERY_MS },
    bulkhead: { concurrent: COMMANDS_WAITING_MAX, queued: 0 },
  });
  const watch = watchOver({ client, policy, clock, log });
  // Without a listener the client's first broken connection would end the process.
  client.on("error", (error: Error) => void watch.lost(error));
  void connect();

  async function connect(): Promise<void> {
    try {
      await client.connect();
    } catch (error) {
      await watch.lost(error);
    }
  }

  async function takeShared(key: string, limit: Limit): Promise<Verdict> {
    const tokenMicros = 60_000_000 / limit.perMinute;
    const name = `plimsoll:rate:${limit.name}:${key}`;
    try {
      const missingMicros = await policy.execute(async (signal) => {
        await faults?.at("redis.command", signal);
        return client.take(name, tokenMicros, tokenMicros * limit.burst);
      });
      return judge(limit, missingMicros / 1_000);
    } catch (error) {
      watch.degrade(error);
      return local.take(key, limit);
    }
  }

  const shared = () => {
    if (policy.refuses()) watch.degrade(new Error("Redis is not to be asked"));
    return client.isReady && !watch.looking();
  };

  return {
    take: (key, limit) => (shared() ? takeShared(key, limit) : local.take(key, limit)),
    shared,
    close() {
      watch.stop();
      client.destroy();
    },
  };
}

interface Watched {
  client: { readonly isReady: boolean; ping(): Promise<unknown> };
  policy: Policy;
  clock: Clock;
  log: Logger;
}

/** Looks, from a failure on, whether Redis answers again. */
function watchOver({ client, policy, clock, log }: Watched) {
  const closing = new AbortController();
  let looking = false;

  /** Resolves once Redis has answered; rejects when there is no need any more. */
  async function look(): Promise<void> {
    for (;;) {
      await clock.sleep(LOOK_EVERY_MS, closing.signal);
      if (!client.isReady || policy.refuses()) continue;
      try {
        await policy.execute(() => client.ping());
        return;
      } catch {
        // The breaker has counted it, and the next look will come.
      }
    }
  }

  async function lookOut(): Promise<void> {
    try {
      await look();
      log.info("Redis answers again: rate limits are shared");
    } catch (error) {
      log.debug({ err: error }, "nobody looks for Redis any more");
    }
    looking = false;
  }

  const degrade = (error: unknown): void => {
    if (looking || closing.signal.aborted) return;
    looking = true;
    log.warn({ err: error }, "Redis does not answer: rate limits are per process");
    void lookOut();
  };

  return {
    looking: () => looking,
    degrade,
    /** A connection that breaks between requests counts as much as one that breaks under them. */
    async lost(error: unknown): Promise<void> {
      // Each reconnection that fails says so again; one failure is enough.
      if (looking || closing.signal.aborted) return;
      try {
        await policy.execute(async () => {
          throw error;
        });
      } catch (refusal) {
        degrade(refusal);
      }
    },
    stop: () => closing.abort(),
  };
}
