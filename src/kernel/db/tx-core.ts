import type { Answer, FlightStatement, Link } from "./flight.ts";
import type { Links } from "./links.ts";
import { CommitUnknownError, isPgError, isStalePlan, RolledBackError } from "./pg-errors.ts";
import { settings, tenantSetting } from "./settings.ts";
import type { Gathering, Statement } from "./types.ts";

/** Statements that may wait for COMMIT; more of them belong into statements of many rows. */
const DEFERRED_MAX = 10_000;
/** So much gathered makes a statement, which does not wait for COMMIT. */
const GATHERED_ITEMS_MAX = 500;
const GATHERED_BYTES_MAX = 1024 * 1024;

/** A statement and the tenant under whom it has to run; "" for none. */
export interface Entry extends Statement {
  readonly tenantId: string;
  /** True where nobody wants the answer. */
  readonly silent?: boolean;
  readonly onError?: FlightStatement["onError"];
}

/** What is gathered of one kind and one tenant, as statements that are full and items on top. */
interface Gathered {
  readonly gathering: Gathering<unknown>;
  readonly tenantId: string;
  items: unknown[];
  sizeBytes: number;
}

const begin: FlightStatement = { path: "", text: "begin", silent: true };
const commit: FlightStatement = { path: "", text: "commit", silent: true };
const rollback: FlightStatement = { path: "", text: "rollback", silent: true };

const ignore = () => {};

/**
 * One transaction over one connection, which it takes with its first flight: BEGIN and the settings
 * travel with the first statements, COMMIT with the deferred ones; all in one flight, they need
 * neither. It ends in exactly one way:
 * `commit` resolves and everything is done; or it rejects, or `rollback` was called, and nothing
 * is; or it rejects with `CommitUnknownError`. After its first failing statement it takes no other.
 */
export class TxCore {
  readonly #links: Links;
  readonly #path: string;
  #tenantId: string;
  #link: Link | null = null;
  #begun = false;
  #over = false;
  #failure: { readonly cause: unknown } | null = null;
  /** Settles when the last statement asked for has; each waits for the one before it. */
  #tail: Promise<unknown> = Promise.resolve();
  readonly #deferred: Entry[] = [];
  readonly #gathered: Gathered[] = [];
  /** What goes with the next flight: writes, and statements of gathered items. */
  #full: Entry[] = [];
  readonly #makers: (() => Entry | null)[] = [];
  readonly #callbacks: (() => void)[] = [];

  readonly #guard: Statement | undefined;

  constructor(links: Links, path: string, firstTenantId: string, guard?: Statement) {
    this.#links = links;
    this.#path = path;
    this.#tenantId = firstTenantId;
    this.#guard = guard;
  }

  /** Runs the statements in one flight, after those asked for before. */
  run(entries: readonly Entry[]): Promise<readonly Answer[]> {
    if (entries.length === 0) return Promise.resolve([]);
    const answers = this.#tail.then(() => (this.#over ? this.#late() : this.#run(entries)));
    this.#tail = answers.then(ignore, ignore);
    return answers;
  }

  write(entry: Entry): void {
    this.#assertOpen();
    if (this.#full.length >= DEFERRED_MAX) {
      throw new RangeError(`A transaction queues at most ${DEFERRED_MAX} writes`);
    }
    this.#full.push({ ...entry, silent: true });
  }

  defer(entry: Entry): void {
    this.#assertOpen();
    if (this.#deferred.length >= DEFERRED_MAX) {
      throw new RangeError(`A transaction defers at most ${DEFERRED_MAX} statements`);
    }
    this.#deferred.push(entry);
  }

  gather<Item>(tenantId: string, gathering: Gathering<Item>, item: Item, sizeBytes: number): void {
    this.#assertOpen();
    const same = (one: Gathered) => one.gathering === gathering && one.tenantId === tenantId;
    let gathered = this.#gathered.find(same);
    if (!gathered) {
      gathered = { gathering, tenantId, items: [], sizeBytes: 0 };
      this.#gathered.push(gathered);
    }
    gathered.items.push(item);
    gathered.sizeBytes += sizeBytes;
    const { items } = gathered;
    if (items.length >= GATHERED_ITEMS_MAX || gathered.sizeBytes >= GATHERED_BYTES_MAX) {
      this.#close(gathered);
    }
  }

  #close(gathered: Gathered): void {
    const { gathering, tenantId, items } = gathered;
    if (items.length === 0) return;
    this.#full.push({ ...gathering.make(items), tenantId, silent: true });
    gathered.items = [];
    gathered.sizeBytes = 0;
  }

  beforeCommit(make: () => Entry | null): void {
    this.#assertOpen();
    this.#makers.push(make);
  }

  afterCommit(run: () => void): void {
    this.#assertOpen();
    this.#callbacks.push(run);
  }

  async commit(): Promise<void> {
    try {
      await this.#drained();
      this.#assertUnfailed();
      this.#makeDeferred();
      this.#over = true;
      if (this.#begun || this.#deferred.length + this.#full.length > 0) await this.#commit();
    } catch (error) {
      await this.rollback();
      throw error;
    }
    this.#release();
    for (const callback of this.#callbacks) {
      try {
        callback();
      } catch (error) {
        this.#links.reportLate(error, "work after a commit failed");
      }
    }
  }

  async rollback(): Promise<void> {
    this.#over = true;
    await this.#tail;
    const link = this.#link;
    if (!link) return;
    try {
      if (this.#begun && !link.broken) {
        await this.#links.land(link, this.#links.send(link, [rollback]));
        if (link.client.getTransactionStatus() !== "I") breakLink(link, "ROLLBACK had no effect");
      }
    } catch (error) {
      // The connection goes, and with it whatever its transaction had done.
      link.broken ??= error as Error;
    } finally {
      this.#release();
    }
  }

  async #run(entries: readonly Entry[]): Promise<readonly Answer[]> {
    if (this.#failure) {
      throw new RolledBackError("An earlier statement of this transaction failed", this.#failure);
    }
    try {
      this.#link ??= await this.#links.acquire(this.#tenantId);
      const link = this.#link;
      const statements = this.#compose(entries);
      const answers = await (this.#begun
        ? this.#send(link, statements)
        : this.#begin(link, [begin, ...statements]));
      if (link.client.getTransactionStatus() !== "T") {
        throw breakLink(link, "A statement ended the transaction; only its caller may");
      }
      return answers;
    } catch (error) {
      this.#failure = { cause: error };
      throw error;
    }
  }

  #send(link: Link, statements: readonly FlightStatement[]): Promise<readonly Answer[]> {
    const flight = this.#links.send(link, statements);
    this.#begun = true;
    return this.#links.land(link, flight);
  }

  /** Nothing has been done before the first flight: one that met changed tables can start over. */
  async #begin(link: Link, statements: readonly FlightStatement[]): Promise<readonly Answer[]> {
    try {
      return await this.#send(link, statements);
    } catch (error) {
      if (!isStalePlan(error)) throw error;
      await this.#links.land(link, this.#links.send(link, [rollback]));
      return this.#send(link, statements);
    }
  }

  #compose(entries: readonly Entry[]): FlightStatement[] {
    const flight = this.#begun ? [] : this.#opening();
    const full = this.#full;
    this.#full = [];
    for (const { text, values, tenantId, silent = false, onError } of [...full, ...entries]) {
      if (tenantId !== this.#tenantId) {
        flight.push(tenantSetting(tenantId));
        this.#tenantId = tenantId;
      }
      flight.push({ path: this.#path, text, values, silent, onError });
    }
    return flight;
  }

  #opening(): FlightStatement[] {
    const opening = [settings(this.#path, this.#tenantId)];
    if (this.#guard) opening.push({ ...this.#guard, path: this.#path, silent: true });
    return opening;
  }

  async #commit(): Promise<void> {
    this.#link ??= await this.#links.acquire(this.#tenantId);
    const link = this.#link;
    // A transaction of one flight needs no BEGIN and no COMMIT: its Sync commits all or nothing.
    const isWhole = !this.#begun;
    const statements = this.#compose(this.#deferred);
    if (!isWhole) statements.push(commit);
    const flight = this.#links.send(link, statements);
    try {
      await this.#links.land(link, flight);
    } catch (error) {
      if (!isWhole && flight.tag === "COMMIT") return;
      // The server's own last words, from before it came to commit, do say that nothing is done.
      const before = isWhole ? flight.size : flight.size - 1;
      const refused = isPgError(link.broken) && flight.completed < before;
      if (link.broken && flight.sent && !refused) throw new CommitUnknownError({ cause: error });
      throw error;
    }
    if (!isWhole && flight.tag !== "COMMIT") {
      throw new RolledBackError(`COMMIT was answered with ${flight.tag}`);
    }
    if (link.client.getTransactionStatus() !== "I") breakLink(link, "COMMIT had no effect");
  }

  #makeDeferred(): void {
    for (let at = 0; at < this.#makers.length; at += 1) {
      const entry = this.#makers[at]?.();
      if (entry) this.#deferred.push(entry);
    }
    for (const gathered of this.#gathered) this.#close(gathered);
  }

  #assertUnfailed(): void {
    if (!this.#failure) return;
    const message = "A statement of this transaction failed, and its error was not passed on";
    throw new RolledBackError(message, this.#failure);
  }

  #assertOpen(): void {
    if (this.#over) throw new Error("The transaction is over; nothing can be done in it any more");
  }

  /** Logged as well as thrown, since the likely reason is that nobody waits for the statement. */
  async #late(): Promise<never> {
    const error = new Error("The transaction is over; the statement was not run");
    this.#links.reportLate(error, "a statement came after the end of its transaction");
    throw error;
  }

  /** Waits for statements that were started and not waited for. */
  async #drained(): Promise<void> {
    let seen: Promise<unknown>;
    do {
      seen = this.#tail;
      await seen;
    } while (seen !== this.#tail);
  }

  #release(): void {
    if (this.#link) this.#links.release(this.#link);
    this.#link = null;
  }
}

function breakLink(link: Link, message: string): Error {
  const error = new Error(message);
  link.broken ??= error;
  return error;
}
