import pg from "pg";
import type { Clock } from "../clock.ts";
import { Client } from "./connection.ts";
import { type Answer, type Flight, type FlightStatement, fly, type Link } from "./flight.ts";
import { breaksConnection, ConnectionError, isPgError } from "./pg-errors.ts";
import { endWhenOverdue, prepareSession, type SessionLimits } from "./session.ts";
import { createTurns } from "./turns.ts";

/** The part of the logger that is used here. */
export interface DatabaseLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface LinkOptions extends SessionLimits {
  /** Connection string of the app role, which row-level security binds. */
  readonly appUrl: string;
  readonly poolMax: number;
  /** An idle connection is closed after this long. */
  readonly idleMs: number;
  /** Flights that take longer are logged. */
  readonly slowMs: number;
  readonly applicationName: string;
  readonly log: DatabaseLog;
  readonly clock: Clock;
  /** Told of every flight, for metrics. */
  readonly onFlight?: ((durationMs: number, failed: boolean) => void) | undefined;
}

/** Connections, and the sending of flights over them with limits, logs and plain errors. */
export interface Links {
  /** Tenants take turns; rejects with `ConnectionError` when no connection is to be had in time. */
  acquire(tenantId: string): Promise<Link>;
  /** Gives it back, or destroys it when it is broken. */
  release(link: Link): void;
  /** Throws where a value can't be a parameter; nothing has been sent then. */
  send(link: Link, statements: readonly FlightStatement[]): Flight;
  /** Waits for a flight and reports it; rejects with errors as stores and HTTP know them. */
  land(link: Link, flight: Flight): Promise<readonly Answer[]>;
  /** For errors that nobody else can be told. */
  reportLate(error: unknown, what: string): void;
  stats(): { total: number; idle: number; waiting: number; max: number };
  /** Resolves when every connection has ended. */
  close(): Promise<void>;
}

const WATCH_EVERY_MS = 1_000;
/** For what a server answers, or doesn't, to a connection's end. */
const FAREWELL_MS = 1_000;

/** Opens a pool of connections as the app role; nothing is connected before the first flight. */
export function createLinks(options: LinkOptions): Links {
  const { log, clock } = options;
  const links = new Map<pg.PoolClient, Link>();
  const pool = createPool(options, links);
  const turns = createTurns({ atOnceMax: options.poolMax, waitMs: options.connectTimeoutMs });
  const watching = setInterval(() => {
    for (const link of links.values()) endWhenOverdue(link, options, clock.monotonicMs());
  }, WATCH_EVERY_MS);
  watching.unref();
  let closing: Promise<void> | undefined;

  return {
    async acquire(tenantId) {
      await turns.take(tenantId);
      try {
        return links.get(await pool.connect()) as Link;
      } catch (error) {
        turns.done();
        const reason = error instanceof Error ? error.message : String(error);
        throw new ConnectionError(`No database connection: ${reason}`, { cause: error });
      }
    },
    release(link) {
      link.client.release(link.broken ?? undefined);
      turns.done();
    },
    send: (link, statements) => fly(link, statements, clock.monotonicMs()),
    async land(link, flight) {
      let failed = true;
      try {
        const answers = await flight.done;
        failed = false;
        return answers;
      } catch (error) {
        throw explain(link, flight, error as Error);
      } finally {
        report(options, flight, failed);
      }
    },
    reportLate(error, what) {
      log.error({ err: error }, what);
    },
    stats: () => ({
      total: pool.totalCount,
      idle: pool.idleCount,
      waiting: turns.waiting,
      max: options.poolMax,
    }),
    close() {
      closing ??= pool
        .end()
        .then(() => farewells(links, pool, clock))
        .finally(() => clearInterval(watching));
      return closing;
    },
  };
}

/** The pool has ended when it has told its connections to; they take a moment, and no longer. */
async function farewells(
  links: ReadonlyMap<pg.PoolClient, Link>,
  pool: pg.Pool,
  clock: Clock,
): Promise<void> {
  const over = new AbortController();
  const late = () => {
    for (const { client } of links.values()) client.connection.stream.destroy();
  };
  clock.sleep(FAREWELL_MS, over.signal).then(late, () => {
    // All have gone.
  });
  while (links.size > 0) await new Promise<void>((resolve) => pool.once("remove", () => resolve()));
  over.abort();
}

function createPool(options: LinkOptions, links: Map<pg.PoolClient, Link>): pg.Pool {
  const pool = new pg.Pool({
    Client,
    connectionString: options.appUrl,
    application_name: options.applicationName,
    max: options.poolMax,
    idleTimeoutMillis: options.idleMs,
    connectionTimeoutMillis: options.connectTimeoutMs,
    keepAlive: true,
    // The pool waits for what this returns, which its type does not say.
    onConnect: ((client: pg.PoolClient) => prepare(client)) as (client: unknown) => void,
  });
  async function prepare(client: pg.PoolClient): Promise<void> {
    links.set(client, await prepareSession(client, options, options.clock.monotonicMs()));
  }
  // The error itself holds the client, which is nothing for a log.
  pool.on("error", ({ message }) => options.log.warn({ reason: message }, "idle connection lost"));
  pool.on("remove", (client) => links.delete(client));
  return pool;
}

function report(options: LinkOptions, flight: Flight, failed: boolean): void {
  const durationMs = options.clock.monotonicMs() - flight.startedMs;
  options.onFlight?.(durationMs, failed);
  if (durationMs < options.slowMs) return;
  const statements = flight.statements.filter((one) => !one.silent).map((one) => one.text);
  options.log.warn({ durationMs: Math.round(durationMs), statements }, "slow statement");
}

/**
 * The error as the caller should have it: with the stack of whoever waited instead of the socket's,
 * the statement's text, and without the row values that PostgreSQL quotes in its detail.
 */
function explain(link: Link, flight: Flight, error: Error): Error {
  if (link.broken && breaksConnection(error)) {
    return new ConnectionError(`The database connection was lost: ${link.broken.message}`, {
      cause: link.broken,
    });
  }
  if (!isPgError(error)) return error;
  Error.captureStackTrace(error);
  for (const name of ["detail", "where", "internalQuery"]) {
    const value = (error as unknown as Record<string, unknown>)[name];
    Object.defineProperty(error, name, { value, enumerable: false, configurable: true });
  }
  const failed = flight.statements[flight.completed];
  const explained = Object.assign(error, { statement: failed?.text });
  try {
    failed?.onError?.(explained);
  } catch (meant) {
    return meant as Error;
  }
  return explained;
}
