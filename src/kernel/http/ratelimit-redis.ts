import { createClient, defineScript } from "redis";
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type Buckets, judge, type Limit, type Verdict } from "./ratelimit.ts";

const CONNECT_TIMEOUT_MS = 1_000;
/** An answer that takes longer than this is worth less than a local guess. */
const ANSWER_TIMEOUT_MS = 50;
/**
 * After a failure Redis is left alone this long, so that requests don't each wait for the timeout.
 */
const REST_MS = 1_000;
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

/**
 * Buckets that all processes share. Where Redis doesn't answer within 50 ms the process decides by
 * buckets of its own: a dead Redis makes limits per process, never none. It comes back by itself.
 */
export function redisBuckets(
  url: string,
  { local, clock, log }: { local: Buckets; clock: Clock; log: Logger },
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
  let restUntilMs = 0;
  let healthy = true;
  const degrade = (error: unknown) => {
    restUntilMs = clock.monotonicMs() + REST_MS;
    if (healthy) log.warn({ err: error }, "Redis does not answer: rate limits are per process");
    healthy = false;
  };
  // Without a listener the client's first broken connection would end the process.
  client.on("error", degrade);
  client.connect().catch(degrade);

  async function takeShared(key: string, limit: Limit): Promise<Verdict> {
    // While it is unwell, one request a second tries it and the others don't wait.
    if (!healthy) restUntilMs = clock.monotonicMs() + REST_MS;
    const tokenMicros = 60_000_000 / limit.perMinute;
    try {
      const missingMicros = await within(
        ANSWER_TIMEOUT_MS,
        client.take(`plimsoll:rate:${limit.name}:${key}`, tokenMicros, tokenMicros * limit.burst),
      );
      if (!healthy) log.info("Redis answers again: rate limits are shared");
      healthy = true;
      restUntilMs = 0;
      return judge(limit, missingMicros / 1_000);
    } catch (error) {
      degrade(error);
      return local.take(key, limit);
    }
  }

  return {
    take(key, limit) {
      const asks = client.isReady && clock.monotonicMs() >= restUntilMs;
      return asks ? takeShared(key, limit) : local.take(key, limit);
    },
    shared: () => client.isReady && healthy,
    close: () => client.destroy(),
  };
}

/**
 * Real time on purpose: this guards a socket, and decides nothing that a test's clock should move.
 */
function within<T>(timeoutMs: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("No answer in time")), timeoutMs);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
