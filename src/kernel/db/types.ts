import type { Actor, TenantRef } from "../tenancy/types.ts";

export interface QueryResult<Row> {
  rows: Row[];
  /** Rows returned or changed. */
  rowCount: number;
}

/** One statement on its way: `text` uses $1…; `values` are bound, never spliced. */
export interface Statement {
  text: string;
  values?: readonly unknown[];
}

/** A kind of statement that is made of many items. One constant for each kind. */
export interface Gathering<Item> {
  make(items: readonly Item[]): Statement;
}

/**
 * A transaction. Rows arrive as JSON would have them: timestamps as ISO-8601 text in UTC, bigint
 * and numeric as in `db/values.ts`, json parsed. Column names are used as they are: alias them to
 * camelCase.
 */
export interface Transaction {
  /** Runs one statement now, in its own network flight. */
  query<Row = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>>;
  /** Runs several statements in one network flight; the answers come in the same order. */
  batch(statements: readonly Statement[]): Promise<QueryResult<Record<string, unknown>>[]>;
  /**
   * Queues a write whose answer is known: it travels with the next statement or, where there is
   * none, with COMMIT, so that a change that has nothing to wait for is one flight. `onError` is
   * told why it failed and throws what its caller should get instead.
   */
  write(statement: Statement, onError?: (error: Error) => never): void;
  /**
   * Queues a statement whose answer nobody waits for: it travels with COMMIT in one flight. Audit
   * records and events go this way, which also keeps the locks that they take short.
   */
  defer(statement: Statement): void;
  /**
   * Gathers what one statement says of many: it travels with COMMIT, or sooner once much of it has
   * been gathered, so that a transaction of many changes stays small in memory.
   */
  gather<Item>(gathering: Gathering<Item>, item: Item, sizeBytes: number): void;
  /** Queues work that makes deferred statements at the last moment before COMMIT. */
  beforeCommit(make: () => Statement | null): void;
  /** Runs after COMMIT has been answered; never after a rollback. */
  afterCommit(run: () => void): void;
}

/** A transaction in which one tenant's rows, and no others, can be seen and changed. */
export interface Tx extends Transaction {
  readonly tenant: TenantRef;
  readonly actor: Actor;
  /** The request or job that caused it, for audit records and logs. */
  readonly requestId: string;
}

/** A transaction over tables that belong to no tenant (users, tenants, signing keys). */
export interface PlatformTx extends Transaction {
  /**
   * Lets the rest of the transaction see and change one tenant's rows too: registration makes a
   * tenant and its first member at once. Sets `app.tenant_id` for the transaction.
   */
  enterTenant(tenant: TenantRef, on?: OnBehalf): Promise<Tx>;
}

export interface OnBehalf {
  actor?: Actor;
  requestId?: string;
  /**
   * Runs before the first statement, in the same flight, so that it costs no round trip. Its error
   * ends the transaction, and no other statement has run by then.
   */
  guard?: Statement;
}

/** What a service sees of the database: its own PostgreSQL schema, one tenant at a time. */
export interface Db {
  /**
   * One statement in one network flight with one Sync: the tenant, the search path and the named
   * statement make one implicit transaction, so nothing has to be reset afterwards.
   */
  query<Row = Record<string, unknown>>(
    tenant: TenantRef,
    text: string,
    values?: readonly unknown[],
  ): Promise<QueryResult<Row>>;
  /** Runs `work` in one transaction for `tenant`: it commits what `work` did, or nothing. */
  inTenant<T>(tenant: TenantRef, work: (tx: Tx) => Promise<T>, on?: OnBehalf): Promise<T>;
  /** The same over platform tables only; tenant rows are invisible until `enterTenant`. */
  inPlatform<T>(work: (tx: PlatformTx) => Promise<T>): Promise<T>;
}

/** The server's database: hands each service a `Db` of its own schema. */
export interface Database {
  /** `schema` is the service's name; "platform" for the kernel's own tables. */
  forService(schema: string): Db;
  /** Pool gauges for metrics: open, idle, waiting. */
  stats(): { total: number; idle: number; waiting: number; max: number };
  /** Answers when the database does; for readiness. Rejects when it can't within `timeoutMs`. */
  ping(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}
