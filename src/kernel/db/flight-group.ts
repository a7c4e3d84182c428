import type pg from "pg";
import { Flight, type Link, type PgConnection } from "./flight.ts";
import { ConnectionError } from "./pg-errors.ts";
import * as wire from "./wire.ts";

type Message<Name extends keyof Flight> = Flight[Name] extends (message: infer M) => void
  ? M
  : never;

/**
 * Flights of different callers in one network write, each with a Sync of its own, so that what goes
 * wrong in one does not touch the others. The answers come back in the same order. To `pg` it is
 * one Submittable that asks for another turn as often as it has flights left.
 */
export class FlightGroup {
  readonly #link: Link;
  readonly #flights: Flight[];
  readonly #onActive: (flight: Flight | null) => void;
  #at = 0;
  #written = false;

  /** `onActive` is told which flight the server is at from now on; null when it is through. */
  constructor(link: Link, flights: Flight[], onActive: (flight: Flight | null) => void) {
    this.#link = link;
    this.#flights = flights;
    this.#onActive = onActive;
  }

  /** Writes all of them at the first turn; at the others they are on their way already. */
  submit(connection: PgConnection): Error | null {
    if (this.#written) return null;
    this.#written = true;
    wire.reset();
    for (let at = 0; at < this.#flights.length; ) {
      if (this.#flights[at]?.encode()) this.#flights.splice(at, 1);
      else at += 1;
    }
    if (this.#flights.length === 0) return new Error("None of the flights could be written");
    if (!connection.stream.writable) {
      const error = new ConnectionError("The connection is closed");
      for (const flight of this.#flights) flight.fail(error);
      return error;
    }
    connection.stream.write(wire.take());
    for (const flight of this.#flights) flight.sent = true;
    this.#activate();
    return null;
  }

  handleRowDescription(message: Message<"handleRowDescription">): void {
    this.#flights[this.#at]?.handleRowDescription(message);
  }

  handleDataRow(message: Message<"handleDataRow">): void {
    this.#flights[this.#at]?.handleDataRow(message);
  }

  handleCommandComplete(message: Message<"handleCommandComplete">): void {
    this.#flights[this.#at]?.handleCommandComplete(message);
  }

  handleEmptyQuery(): void {
    this.#flights[this.#at]?.handleEmptyQuery();
  }

  handlePortalSuspended(): void {}

  handleCopyInResponse(connection: PgConnection): void {
    this.#flights[this.#at]?.handleCopyInResponse(connection);
  }

  handleCopyData(): void {}

  /** Of the flight that the server is at; where the connection is gone, of all that are left. */
  handleError(error: Error): void {
    this.#flights[this.#at]?.handleError(error);
    if (!this.#link.broken) return this.#next();
    for (this.#at += 1; this.#at < this.#flights.length; this.#at += 1) {
      this.#flights[this.#at]?.handleError(error);
    }
  }

  handleReadyForQuery(): void {
    this.#flights[this.#at]?.handleReadyForQuery();
    this.#next();
  }

  #next(): void {
    this.#at += 1;
    this.#activate();
    if (this.#at >= this.#flights.length) return;
    // Behind an error pg takes it up at the ReadyForQuery that is still to come, else at once.
    this.#link.client.query(this as unknown as pg.Submittable);
  }

  #activate(): void {
    const flight = this.#flights[this.#at] ?? null;
    this.#link.current = flight;
    this.#onActive(flight);
  }
}

/** Sends them in one write; the `done` of each tells how it went. */
export function flyTogether(
  link: Link,
  flights: Flight[],
  onActive: (flight: Flight | null) => void,
): void {
  const group = new FlightGroup(link, flights, onActive);
  link.client.query(group as unknown as pg.Submittable);
}
