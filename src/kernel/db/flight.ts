import type pg from "pg";
import {
  breaksConnection,
  ConnectionError,
  isForgottenStatement,
  isStalePlan,
} from "./pg-errors.ts";
import { createStatements, type Prepared, type Statements } from "./statements.ts";
import type { QueryResult } from "./types.ts";
import { encodeValue, readerFor } from "./values.ts";
import * as wire from "./wire.ts";

/** One connection with what we know of it beyond what `pg` knows. */
export interface Link {
  readonly client: pg.PoolClient;
  readonly statements: Statements;
  /** Why the connection can't be used any more; null while it can. */
  broken: Error | null;
  /** Counts flights; statements that a flight uses are not evicted for it. */
  flights: number;
  /** The flight under way, for the watch over its deadline. */
  current: Flight | null;
}

/** A pooled connection with what flights remember of it. */
export function createLink(client: pg.PoolClient): Link {
  const link: Link = {
    client,
    statements: createStatements(),
    broken: null,
    flights: 0,
    current: null,
  };
  // The pool does not listen to a client in use: unheard, the event would end the process.
  client.on("error", (error) => {
    link.broken ??= error;
  });
  return link;
}

/** A statement of a flight; `path` is the search path that is set by the time it is parsed. */
export interface FlightStatement {
  readonly path: string;
  readonly text: string;
  readonly values?: readonly unknown[] | undefined;
  /** True where nobody wants the answer, such as for settings and BEGIN. */
  readonly silent?: boolean;
  /** Throws what its caller should get where it fails. */
  readonly onError?: ((error: Error) => never) | undefined;
}

interface Step {
  readonly statement: FlightStatement;
  readonly values: readonly (string | Buffer | null)[];
  prepared: Prepared | null;
  parses: boolean;
  describes: boolean;
}

/** The few parts of pg's Connection that a Submittable needs. */
export interface PgConnection {
  readonly stream: { readonly writable: boolean; write(bytes: Buffer): boolean };
  sendCopyFail(message: string): void;
  sync(): void;
}

export type Answer = QueryResult<Record<string, unknown>>;

const noValues: readonly never[] = [];

function encodeAll(values: readonly unknown[] | undefined): readonly (string | Buffer | null)[] {
  return values === undefined || values.length === 0 ? noValues : values.map(encodeValue);
}

/** The last number of a command's tag: "INSERT 0 3" and "SELECT 3" are 3, "BEGIN" is 0. */
function countOf(tag: string): number {
  let count = 0;
  for (let at = tag.length - 1, unit = 1; at >= 0; at -= 1, unit *= 10) {
    const digit = tag.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) break;
    count += digit * unit;
  }
  return count;
}

/**
 * A list of statements that travel in one network write with ONE Sync: outside of an explicit
 * transaction they are one implicit transaction, which commits at the Sync or not at all. It is a
 * `pg` Submittable, as pg-cursor is; the pipeline of Parse, Bind, Describe and Execute follows
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
 *
 * Statements are named and parsed once per connection, and their row description is remembered,
 * so that a known statement costs Bind and Execute alone.
 */
export class Flight {
  /** The answers of the statements that are not silent, in their order. */
  readonly answers: Answer[] = [];
  /** Rejects with the first error, after which later statements of the flight were not run. */
  readonly done: Promise<readonly Answer[]>;
  /** The tag of the statement that was completed last: "COMMIT", "SELECT 20". */
  tag = "";
  /** How many statements the server has completed. */
  completed = 0;
  /** True once its bytes were handed to the socket: from then on the server may have seen them. */
  sent = false;
  startedMs: number;
  readonly #link: Link;
  readonly #steps: Step[];
  #rows: Record<string, unknown>[] = [];
  #unreadable: Error | null = null;
  #settled = false;
  #resolve!: (answers: readonly Answer[]) => void;
  #reject!: (error: Error) => void;

  /** Throws where a value can't be a parameter; nothing has been sent then. */
  constructor(link: Link, statements: readonly FlightStatement[], startedMs: number) {
    this.#link = link;
    this.startedMs = startedMs;
    this.#steps = statements.map((statement) => ({
      statement,
      values: encodeAll(statement.values),
      prepared: null,
      parses: false,
      describes: false,
    }));
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get size(): number {
    return this.#steps.length;
  }

  get statements(): readonly FlightStatement[] {
    return this.#steps.map((step) => step.statement);
  }

  /** Called by pg when the connection is ready; an error it returns comes back to handleError. */
  submit(connection: PgConnection): Error | null {
    wire.reset();
    const error = this.encode();
    if (error) return error;
    if (!connection.stream.writable)
      return this.fail(new ConnectionError("The connection is closed"));
    connection.stream.write(wire.take());
    this.sent = true;
    return null;
  }

  /** Writes its messages behind those that `wire` holds; an error has been told to `done`. */
  encode(): Error | null {
    const start = wire.position();
    try {
      const { statements } = this.#link;
      const flight = ++this.#link.flights;
      for (const step of this.#steps) {
        step.prepared = statements.find(step.statement.path, step.statement.text, flight);
      }
      for (const name of statements.takeEvicted()) wire.writeClose(name);
      for (const step of this.#steps) writeStep(step);
      wire.writeSync();
      return null;
    } catch (error) {
      wire.rewind(start);
      return this.fail(error as Error);
    }
  }

  /** Ends it although nothing was sent: after a bad text the connection is as good as before. */
  fail(error: Error): Error {
    if (error instanceof ConnectionError) this.#link.broken ??= error;
    this.#doubt(0);
    this.#settle(error);
    return error;
  }

  handleRowDescription(message: { fields: { name: string; dataTypeID: number }[] }): void {
    const step = this.#steps[this.completed];
    if (step?.prepared) step.prepared.reader = readerFor(message.fields);
  }

  handleDataRow(message: { fields: (string | null)[] }): void {
    const step = this.#steps[this.completed];
    if (!step || step.statement.silent) return;
    try {
      const read = step.prepared?.reader;
      if (!read) throw new Error("PostgreSQL sent a row before its description");
      this.#rows.push(read(message.fields));
    } catch (error) {
      this.#unreadable ??= error as Error;
    }
  }

  handleCommandComplete(message: { text: string }): void {
    this.tag = message.text;
    this.#complete(countOf(message.text));
  }

  handleEmptyQuery(): void {
    this.#complete(0);
  }

  #complete(rowCount: number): void {
    const step = this.#steps[this.completed];
    this.completed += 1;
    if (!step) return;
    // Described, and no description came: PostgreSQL said NoData, which pg does not pass on.
    if (step.describes && step.prepared?.reader === undefined && step.prepared) {
      step.prepared.reader = null;
    }
    if (step.statement.silent) return;
    this.answers.push({ rows: this.#rows, rowCount });
    this.#rows = [];
  }

  /** Never asked for: every Execute runs its portal to the end. */
  handlePortalSuspended(): void {}

  handleCopyInResponse(connection: PgConnection): void {
    // In copy mode the server has swallowed our Sync, so the failure needs one of its own.
    connection.sendCopyFail("COPY FROM STDIN is not supported here");
    connection.sync();
  }

  handleCopyData(): void {}

  /** An error from the server, or the connection's end; pg may call it in either case. */
  handleError(error: Error): void {
    if (this.#settled) return;
    this.#doubt(this.completed);
    if (isForgottenStatement(error)) this.#link.statements.clear();
    else if (isStalePlan(error)) this.#forget(this.completed);
    if (breaksConnection(error)) this.#link.broken ??= error;
    this.#settle(error);
  }

  handleReadyForQuery(): void {
    this.#settle(this.#unreadable);
  }

  #settle(error: Error | null): void {
    if (this.#settled) return;
    this.#settled = true;
    if (this.#link.current === this) this.#link.current = null;
    if (error) this.#reject(error);
    else this.#resolve(this.answers);
  }

  /** From step `first` on the server may or may not have parsed what this flight told it to. */
  #doubt(first: number): void {
    for (let at = first; at < this.#steps.length; at += 1) {
      if (this.#steps[at]?.parses) this.#forget(at);
    }
  }

  /** Has the statement of one step closed and parsed anew by the next flight that uses it. */
  #forget(at: number): void {
    const prepared = this.#steps[at]?.prepared;
    if (!prepared) return;
    prepared.parsed = "uncertain";
    prepared.reader = undefined;
  }
}

function writeStep(step: Step): void {
  const prepared = step.prepared as Prepared;
  const { name } = prepared;
  if (prepared.parsed !== "parsed" || name === "") {
    if (prepared.parsed === "uncertain" && name !== "") wire.writeClose(name);
    wire.writeParse(name, step.statement.text);
    step.parses = true;
    prepared.parsed = "parsed";
  }
  wire.writeBind(name, step.values);
  if (prepared.reader === undefined) {
    step.describes = true;
    wire.writeDescribe();
  }
  wire.writeExecute();
}

/** Sends the statements in one flight; its `done` tells how it went. */
export function fly(link: Link, statements: readonly FlightStatement[], startedMs: number): Flight {
  const flight = new Flight(link, statements, startedMs);
  link.current = flight;
  link.client.query(flight as unknown as pg.Submittable);
  return flight;
}
