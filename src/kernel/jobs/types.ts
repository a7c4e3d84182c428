import type { Actor, TenantRef } from "../tenancy/types.ts";
import type { Logger } from "../telemetry/logger.ts";

/** What a job is given to work on: ids, never copies of rows. JSON, at most 64 KiB. */
export type JobPayload = Record<string, unknown>;

/** What every job knows, whichever tenant it works for. */
export interface JobContext<Deps> {
  readonly deps: Deps;
  /** The task itself, for audit records: a job acts as the system. */
  readonly actor: Actor;
  /** The request that queued the job, or "job:<id>": for transactions, audit records and logs. */
  readonly requestId: string;
  /**
   * Aborted when the task's `timeoutMs` has passed or the worker is stopping. Whoever ends early
   * for it must throw (`signal.throwIfAborted()`): a task that returns has done its work.
   */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly jobId: string;
  /** 1 on the first attempt. */
  readonly attempt: number;
  /** True when a failure of this attempt is final. */
  readonly lastAttempt: boolean;
}

export interface TenantJobContext<Deps> extends JobContext<Deps> {
  /** The tenant in whose transaction the job was queued. */
  readonly tenant: TenantRef;
}

interface TaskLimits {
  /** For people: what the task does, in a few words. */
  readonly title: string;
  /** After this many failures the job is listed as failed and waits for a person. Default 10. */
  readonly maxAttempts?: number;
  /** The attempt's signal is aborted after this; the attempt then counts as failed. */
  readonly timeoutMs: number;
}

/** Work for one tenant. At least once: its effect must be the same when it runs again. */
export interface TenantTask<Deps> extends TaskLimits {
  readonly scope?: "tenant";
  run(payload: JobPayload, context: TenantJobContext<Deps>): Promise<void>;
}

/**
 * Work for no tenant in particular: cron entries, and sweeps that visit tenants one by one. Queued
 * in a transaction that is `alsoIn` `thePlatform`.
 */
export interface PlatformTask<Deps> extends TaskLimits {
  readonly scope: "platform";
  run(payload: JobPayload, context: JobContext<Deps>): Promise<void>;
}

export type JobTask<Deps> = TenantTask<Deps> | PlatformTask<Deps>;

export interface CronEntry {
  /** The name of a task of the same catalogue with `scope: "platform"`. */
  readonly task: string;
  /** Five cron fields in UTC, such as "0 3 * * *"; runs once, however many workers there are. */
  readonly every: string;
  readonly payload?: JobPayload;
}

/** A service's background work. Task names are `<service>.<what>`: "orders.expire". */
export interface JobCatalogue<Deps> {
  readonly tasks: Readonly<Record<string, JobTask<Deps>>>;
  readonly cron?: readonly CronEntry[];
}

export interface AddJobOptions {
  /** Not before this moment, ISO-8601; default at once. */
  readonly runAt?: string;
  /** One waiting job per tenant and key: a second one replaces the first's payload and time. */
  readonly key?: string;
  /** Jobs of one tenant and queue run one at a time, in order. */
  readonly queue?: string;
  /** Fewer attempts than the task's own limit. */
  readonly maxAttempts?: number;
}

/** Where the worker finds the tenant of a job; null when there is no such tenant any more. */
export interface TenantLookup {
  ref(id: string): Promise<TenantRef | null>;
}
