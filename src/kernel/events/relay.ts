import pg from "pg";
import { type Clock, isoNow } from "../clock.ts";
import { type Loop, startLoop } from "../jobs/loop.ts";
import type { Faults } from "../resilience/faults.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { type Relayed, relayTenant, tryLead, waitingTenants } from "./relay-store.ts";

export interface RelayOptions {
  /** The app role's URL: the relay keeps one connection of its own. */
  appUrl: string;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  faults?: Pick<Faults, "at">;
  /** True where a broker is to get the events too: their pointers then stay for the publisher. */
  toBroker: boolean;
  /** Told after events were handed out, so that senders in this process need not poll. */
  onRelayed?: () => void;
  /** One publisher round while this process leads; true when there is more. */
  publish?: (signal: AbortSignal) => Promise<boolean>;
  /** How often the leader looks for events. Default 200. */
  pollMs?: number;
  /** How often another process tries to become the leader. Default 2000. */
  standbyMs?: number;
}

export interface Relay {
  /** Looks for events now. */
  wake(): void;
  leads(): boolean;
  stop(): Promise<void>;
}

const batchEvents = 500;
const queryTimeoutMs = 30_000;
const leaveAloneMs = 5_000;
const leaveAloneMaxTenants = 1_000;
const publishEveryMs = 1_000;
const triesAtMost = 10;

// A leader whose machine has vanished must not hold the lock for TCP's two hours. A plan that was
// made while the outbox was empty compares each of its pointers with each of a batch: with 100,000
// of them (an import) a batch took 18 s; planned anew, which takes a millisecond, 30 ms.
const sessionSettings = `select set_config('timezone', 'UTC', false),
  set_config('search_path', 'pg_catalog', false),
  set_config('plan_cache_mode', 'force_custom_plan', false),
  set_config('statement_timeout', '20000', false),
  set_config('idle_in_transaction_session_timeout', '20000', false),
  set_config('idle_session_timeout', '60000', false),
  set_config('tcp_keepalives_idle', '10', false),
  set_config('tcp_keepalives_interval', '5', false),
  set_config('tcp_keepalives_count', '3', false)`;

/** An endpoint was deleted meanwhile, or another change was in the way. */
const passing = new Set(["23503", "40001", "40P01"]);

/** One tenant's events; what is over by itself is tried again at once. */
async function relayPersistently(
  client: pg.Client,
  work: Parameters<typeof relayTenant>[1],
  faults: RelayOptions["faults"],
): Promise<Relayed> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await relayTenant(client, work, faults);
    } catch (error) {
      const { code = "" } = error as { code?: string };
      if (attempt === triesAtMost || !passing.has(code)) throw error;
    }
  }
}

/** Hands out what waits, once. A tenant whose events can't be handed out is left alone for 5 s. */
export async function relayOnce(
  client: pg.Client,
  { clock, log, toBroker, faults }: Pick<RelayOptions, "clock" | "log" | "toBroker" | "faults">,
  troubled: Map<string, number> = new Map(),
): Promise<{ events: number; more: boolean }> {
  const nowMs = clock.nowMs();
  for (const [tenantId, untilMs] of troubled) if (untilMs <= nowMs) troubled.delete(tenantId);
  const waiting = await waitingTenants(client, batchEvents, [...troubled.keys()]);
  let events = 0;
  let pointers = 0;
  for (const { tenantId, toSeq, count } of waiting) {
    pointers += count;
    const nowIso = isoNow(clock);
    const work = { tenantId, toSeq, limit: batchEvents, keep: toBroker, nowIso };
    try {
      events += (await relayPersistently(client, work, faults)).events;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || troubled.size >= leaveAloneMaxTenants) {
        throw error;
      }
      log.error({ err: error, tenant: tenantId }, "a tenant's events could not be handed out");
      troubled.set(tenantId, clock.nowMs() + leaveAloneMs);
    }
  }
  // A batch that was not full was all there is. What came meanwhile waits for the next round: under
  // a steady trickle each event would otherwise be a round, with a flush to the disk of its own.
  return { events, more: pointers === batchEvents };
}

export interface RelayConnection {
  client: pg.Client;
  /** Aborted when the connection has ended, whoever ended it. */
  ended: AbortSignal;
}

/** A connection for the relay, which fails fast and is noticed soon when it is gone. */
export async function relayConnection(appUrl: string): Promise<RelayConnection> {
  const client = new pg.Client({
    connectionString: appUrl,
    application_name: "plimsoll relay",
    connectionTimeoutMillis: 5_000,
    query_timeout: queryTimeoutMs,
    keepAlive: true,
  });
  const ended = new AbortController();
  client.on("error", () => ended.abort());
  client.on("end", () => ended.abort());
  await client.connect();
  await client.query(sessionSettings);
  return { client, ended: ended.signal };
}

async function close(client: pg.Client): Promise<void> {
  // A connection that is broken already needs no closing.
  await client.end().catch(() => {});
}

/** Waits until this connection holds the lock; false when it was lost before. */
async function becomeLeader(
  client: pg.Client,
  { clock, standbyMs = 2_000 }: RelayOptions,
  lost: AbortSignal,
): Promise<boolean> {
  while (!lost.aborted) {
    if (await tryLead(client)) return true;
    // Rejects when the connection is lost, which the condition above sees.
    await clock.sleep(standbyMs, lost).catch(() => {});
  }
  return false;
}

/** The leader's rounds over one connection. */
function startRounds(client: pg.Client, options: RelayOptions, publisher: Loop | null): Loop {
  const { clock, log, metrics, pollMs = 200 } = options;
  const handedOut = metrics.counter("events_relayed_total", "Events handed out by the relay");
  const troubled = new Map<string, number>();
  return startLoop({
    name: "relay",
    everyMs: pollMs,
    clock,
    log,
    async run() {
      try {
        const { events, more } = await relayOnce(client, options, troubled);
        if (events === 0) return more;
        handedOut.inc({}, events);
        options.onRelayed?.();
        publisher?.wake();
        return more;
      } catch (error) {
        // In what state the connection is nobody knows; the lead goes with it.
        await close(client);
        throw error;
      }
    },
  });
}

/**
 * Hands out events from the outbox. Any number of processes may run it; one of them leads, which is
 * whoever's connection holds the lock, and another takes over when that connection ends.
 */
export function startRelay(options: RelayOptions): Relay {
  const { clock, log, publish } = options;
  let rounds: Loop | null = null;

  async function lead(client: pg.Client, lost: AbortSignal): Promise<void> {
    const over = Promise.withResolvers<void>();
    lost.addEventListener("abort", () => over.resolve(), { once: true });
    if (lost.aborted) return;
    log.info("this process hands out events now");
    const publisher = publish
      ? startLoop({ name: "publisher", everyMs: publishEveryMs, clock, log, run: publish })
      : null;
    rounds = startRounds(client, options, publisher);
    await over.promise;
    await Promise.all([rounds.stop(), publisher?.stop()]);
    rounds = null;
  }

  const terms = startLoop({
    name: "relay leadership",
    everyMs: options.standbyMs ?? 2_000,
    clock,
    log,
    async run(stopping) {
      const { client, ended } = await relayConnection(options.appUrl);
      const lost = AbortSignal.any([ended, stopping]);
      try {
        if (await becomeLeader(client, options, lost)) await lead(client, lost);
      } finally {
        await close(client);
      }
      return false;
    },
  });

  return {
    wake: () => rounds?.wake(),
    leads: () => rounds !== null,
    stop: () => terms.stop(),
  };
}
