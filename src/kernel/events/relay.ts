import pg from "pg";
import type { Clock } from "../clock.ts";
import { type Loop, startLoop } from "../jobs/loop.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { relayTenant, tryLead, waitingTenants } from "./relay-store.ts";

export interface RelayOptions {
  /** The app role's URL: the relay keeps one connection of its own. */
  appUrl: string;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
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

// A leader whose machine has vanished must not hold the lock for TCP's two hours.
const sessionSettings = `select set_config('timezone', 'UTC', false),
  set_config('search_path', 'pg_catalog', false),
  set_config('statement_timeout', '20000', false),
  set_config('idle_in_transaction_session_timeout', '20000', false),
  set_config('idle_session_timeout', '60000', false),
  set_config('tcp_keepalives_idle', '10', false),
  set_config('tcp_keepalives_interval', '5', false),
  set_config('tcp_keepalives_count', '3', false)`;

type Handed = { events: number; more: boolean };

/** Hands out what waits, once. A tenant whose events can't be handed out is left alone for 5 s. */
export async function relayOnce(
  client: pg.Client,
  { clock, log, toBroker }: Pick<RelayOptions, "clock" | "log" | "toBroker">,
  troubled: Map<string, number> = new Map(),
): Promise<Handed> {
  const nowMs = clock.nowMs();
  for (const [tenantId, untilMs] of troubled) if (untilMs <= nowMs) troubled.delete(tenantId);
  const waiting = await waitingTenants(client, batchEvents, [...troubled.keys()]);
  let events = 0;
  for (const { tenantId, toSeq } of waiting) {
    const nowIso = new Date(clock.nowMs()).toISOString();
    const work = { tenantId, toSeq, limit: batchEvents, keep: toBroker, nowIso };
    try {
      events += (await relayTenant(client, work)).events;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || troubled.size >= leaveAloneMaxTenants)
        throw error;
      log.error({ err: error, tenant: tenantId }, "a tenant's events could not be handed out");
      troubled.set(tenantId, clock.nowMs() + leaveAloneMs);
    }
  }
  return { events, more: waiting.length > 0 };
}

/** A connection for the relay; it reports its end by aborting `signal`. */
export async function relayConnection(appUrl: string): Promise<{
  client: pg.Client;
  signal: AbortSignal;
}> {
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
  return { client, signal: ended.signal };
}

/**
 * Hands out events from the outbox. Any number of processes may run it; one of them leads, which is
 * whoever's connection holds the lock, and another takes over when that connection ends.
 */
export function startRelay(options: RelayOptions): Relay {
  const { clock, log, metrics } = options;
  const handedOut = metrics.counter("events_relayed_total", "Events handed out by the relay");
  let inner: Loop | null = null;
  let leading = false;

  async function lead(client: pg.Client, lost: AbortSignal): Promise<void> {
    const troubled = new Map<string, number>();
    const ended = Promise.withResolvers<void>();
    lost.addEventListener("abort", () => ended.resolve(), { once: true });
    if (lost.aborted) return;
    const publisher = options.publish && startPublisher(options.publish);
    inner = startLoop({
      name: "relay",
      everyMs: options.pollMs ?? 200,
      clock,
      log,
      async run() {
        if (lost.aborted) return false;
        const { events, more } = await relayOnce(client, options, troubled).catch((error) => {
          // In what state the connection is nobody knows; without it the lead is given up too.
          void client.end().catch(() => {});
          throw error;
        });
        if (events > 0) {
          handedOut.inc({}, events);
          options.onRelayed?.();
          publisher?.wake();
        }
        return more;
      },
    });
    await ended.promise;
    await Promise.all([inner.stop(), publisher?.stop()]);
    inner = null;
  }

  function startPublisher(run: NonNullable<RelayOptions["publish"]>): Loop {
    return startLoop({ name: "publisher", everyMs: 1_000, clock, log, run });
  }

  const outer = startLoop({
    name: "relay leadership",
    everyMs: options.standbyMs ?? 2_000,
    clock,
    log,
    async run(stopping) {
      const { client, signal: ended } = await relayConnection(options.appUrl);
      const lost = AbortSignal.any([ended, stopping]);
      try {
        while (!lost.aborted && !(await tryLead(client))) {
          await clock.sleep(options.standbyMs ?? 2_000, lost).catch(() => {});
        }
        if (lost.aborted) return false;
        log.info("this process hands out events now");
        leading = true;
        await lead(client, lost);
      } finally {
        leading = false;
        await client.end().catch(() => {});
      }
      return false;
    },
  });

  return {
    wake: () => inner?.wake(),
    leads: () => leading,
    stop: () => outer.stop(),
  };
}
