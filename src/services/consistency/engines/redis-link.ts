import { createClient, ErrorReply } from "redis";
import type { Clock } from "#kernel/clock.ts";
import type { Random } from "#kernel/random.ts";
import { inTime, NotSent, Refusal } from "./real-guard.ts";
import { scripts } from "./redis-scripts.ts";

const createOne = (options: { host: string; port: number; password: string | null }) =>
  createClient({
    socket: {
      host: options.host,
      port: options.port,
      reconnectStrategy: false,
      connectTimeout: 5_000,
    },
    ...(options.password !== null && { password: options.password }),
    RESP: 2,
    scripts,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: "disabled",
    commandsQueueMaxLength: 1_000,
  });

export type RedisClient = ReturnType<typeof createOne>;

/** One connection to a server, made again whenever it is lost. */
export interface RedisLink {
  /** Resolves after the first attempt, however it ended. */
  readonly attempted: Promise<void>;
  isReady(): boolean;
  /** Rejects with NotSent without a connection, with Refusal where the server answers an error. */
  run<Result>(work: (client: RedisClient) => Promise<Result>): Promise<Result>;
  /** Throws the connection away if nothing came over it since `sinceMs`. */
  doubt(sinceMs: number): void;
  close(): void;
}

interface LinkOptions {
  readonly host: string;
  readonly port: number;
  readonly password: string | null;
  readonly clock: Clock;
  readonly random: Pick<Random, "float">;
  /** The store's clock. */
  nowMs(): number;
  readonly connectTimeoutMs: number;
  onFailure(): void;
}

const firstBackoffMs = 25;
const backoffAtMostMs = 2_000;

/** Answers that say that the server is well and only asked the wrong thing. */
const wellAnswers = /^(READONLY|NOREPLICAS)/;

/**
 * Connects, says so with the client, and resolves once the connection is lost; when there never was
 * one, with why.
 */
async function attempt(
  options: LinkOptions,
  begin: (client: RedisClient) => void,
  ready: (client: RedisClient) => void,
): Promise<Error | null> {
  const client = createOne(options);
  const lost = new Promise<void>((resolve) => {
    client.on("error", () => resolve());
    client.on("end", () => resolve());
  });
  let isOver = false;
  const connect = async () => {
    await client.connect();
    // A client that was destroyed while it connected would otherwise stay connected.
    if (isOver) return client.destroy();
    // The proxy accepts for a node that may be gone: only its answer says that it is there.
    await client.ping();
  };
  begin(client);
  try {
    await inTime(options.clock, options.connectTimeoutMs, connect);
    ready(client);
    await lost;
    return null;
  } catch (error) {
    return error as Error;
  } finally {
    isOver = true;
    client.destroy();
  }
}

/** Opens a connection that keeps coming back, at growing distances that chance spreads. */
export function openRedisLink(options: LinkOptions): RedisLink {
  const { clock, random } = options;
  const closing = new AbortController();
  const first = Promise.withResolvers<void>();
  let current: RedisClient | null = null;
  let ready: RedisClient | null = null;
  let heardMs = options.nowMs();
  let why = "";

  async function once(): Promise<boolean> {
    const begin = (client: RedisClient) => {
      current = client;
    };
    const error = await attempt(options, begin, (client) => {
      closing.signal.throwIfAborted();
      ready = client;
      heardMs = options.nowMs();
      first.resolve();
    });
    ready = null;
    // What the server answers is worth telling; other errors are about our own proxy.
    why = error instanceof ErrorReply ? `: ${error.message.slice(0, 200)}` : "";
    first.resolve();
    return error === null;
  }

  async function keep(): Promise<void> {
    let backoffMs = firstBackoffMs;
    while (!closing.signal.aborted) {
      const wasReady = await once();
      if (closing.signal.aborted) return;
      options.onFailure();
      backoffMs = wasReady ? firstBackoffMs : Math.min(backoffMs * 2, backoffAtMostMs);
      try {
        await clock.sleep(backoffMs * (0.5 + random.float() / 2), closing.signal);
      } catch {
        // It was closed meanwhile.
        return;
      }
    }
  }
  void keep();

  return {
    attempted: first.promise,
    isReady: () => ready?.isReady === true,
    async run(work) {
      const client = ready;
      if (!client?.isReady) throw new NotSent(`no connection at the moment${why}`);
      try {
        const result = await work(client);
        heardMs = options.nowMs();
        return result;
      } catch (error) {
        if (!(error instanceof ErrorReply)) throw error;
        heardMs = options.nowMs();
        throw new Refusal(error.message.slice(0, 200), wellAnswers.test(error.message));
      }
    },
    doubt(sinceMs) {
      if (heardMs < sinceMs) ready?.destroy();
    },
    close() {
      closing.abort();
      current?.destroy();
    },
  };
}
